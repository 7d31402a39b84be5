"""Euclidean projections onto the simplex and onto a box with a budget.

Source: for the simplex Held, Wolfe & Crowder, "Validation of subgradient optimization",
Mathematical Programming 1974, by sorting as in Duchi et al., "Efficient projections onto the
l1-ball for learning in high dimensions", ICML 2008. For the box the same argument: the optimality
conditions leave one number to find.

Formula: with the shift τ that makes the sum right,

    simplex   {w ≥ 0, Σ w = t}:         w = max(v − τ, 0);
    box       {0 ≤ s ≤ 1, Σ s ≤ K}:     s = clip(v − τ, 0, 1), τ = 0 where that keeps the budget.

Both sums are piecewise linear and falling in τ; sorting the places where the slope changes finds
the piece, on which τ is the solution of a linear equation. Exact up to rounding, O(n log n), no
iteration.
"""

from __future__ import annotations

import torch
from torch import Tensor

from clcore.errors import ArgumentError


def onto_simplex(values: Tensor, total: float = 1.0) -> Tensor:
    """Find the nearest point whose entries are not negative and sum to a total.

    Args:
        values: Finite floating-point `[..., n]`, n ≥ 1; each row of the last dimension is projected
            by itself.
        total: What the entries shall sum to, above 0.

    Returns:
        New tensor `[..., n]`.

    Raises:
        ArgumentError: If the total is not above 0, or there is nothing to project.
    """
    if not total > 0:
        raise ArgumentError(f"total must be above 0, not {total!r}")
    _check_entries(values)
    # The projection does not change when a constant is added to all; near zero it rounds best.
    values = values - values.amax(dim=-1, keepdim=True)
    ordered = values.sort(dim=-1, descending=True).values
    count = torch.arange(1, values.shape[-1] + 1, device=values.device, dtype=values.dtype)
    shifts = (ordered.cumsum(dim=-1) - total) / count
    support = (ordered > shifts).sum(dim=-1, keepdim=True).clamp_min(1)
    return (values - shifts.gather(-1, support - 1)).clamp_min(0)


def onto_budget(values: Tensor, budget: float) -> Tensor:
    """Find the nearest point with entries from 0 to 1 whose sum is at most a budget.

    Args:
        values: Finite floating-point `[n]`, n ≥ 1.
        budget: The largest sum allowed, at least 0.

    Returns:
        New tensor `[n]`.

    Raises:
        ArgumentError: If the budget is negative, or there is nothing to project.
    """
    if not budget >= 0:
        raise ArgumentError(f"budget must not be negative, but is {budget!r}")
    _check_entries(values)
    clipped = values.clamp(0, 1)
    if float(clipped.sum()) <= budget:
        return clipped
    # Going down in τ, entry i starts to grow at τ = v_i and stops, full, at τ = v_i − 1.
    ends = torch.cat((values, values - 1))
    order = ends.argsort(descending=True)
    ends = ends[order]
    slope = torch.where(order < len(values), 1.0, -1.0).to(values).cumsum(0)
    sums = torch.zeros_like(ends)
    sums[1:] = (slope[:-1] * (ends[:-1] - ends[1:])).cumsum(0)
    piece = int(torch.searchsorted(sums, budget, right=True)) - 1
    shift = ends[piece] - (budget - sums[piece]) / slope[piece].clamp_min(1)
    return (values - shift).clamp(0, 1)


def _check_entries(values: Tensor) -> None:
    if values.ndim == 0 or values.shape[-1] == 0 or not values.is_floating_point():
        raise ArgumentError(
            "values must be floating-point with at least one entry to project, not "
            f"{values.dtype} of shape {tuple(values.shape)}"
        )
