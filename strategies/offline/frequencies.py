"""Rows drawn as often as they weigh, in place of weights in the loss.

Source: systematic resampling; Kitagawa, "Monte Carlo filter and smoother for non-Gaussian nonlinear
state space models", Journal of Computational and Graphical Statistics 5(1), 1996, appendix.

Formula: with weights γ of mean 1 over k rows and one u drawn from [0, 1), row j is drawn as often
as there are whole numbers i with Γ_{j−1} ≤ u + i < Γ_j, Γ_j = Σ_{l ≤ j} γ_l. So it is drawn ⌊γ_j⌋
or ⌈γ_j⌉ times, γ_j times on average, and k rows are drawn in all.
"""

from __future__ import annotations

import torch
from torch import Tensor


def drawn_by_weight(weights: Tensor, generator: torch.Generator) -> Tensor:
    """Draw as many places as there are weights, each about as often as it weighs.

    Args:
        weights: `[k]` of mean 1, none negative.
        generator: On the CPU.

    Returns:
        int64 `[k]` in random order.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> drawn_by_weight(torch.tensor([0.0, 3.0, 1.0, 0.0]), generator).sort().values
        tensor([1, 1, 1, 2])
    """
    k = len(weights)
    ends = weights.double().cumsum(0)
    # Rounding must not leave the last numbers beyond the end.
    ends = ends * (k / ends[-1])
    numbers = torch.arange(k, dtype=torch.float64)
    numbers += torch.rand((), dtype=torch.float64, generator=generator)
    places = torch.searchsorted(ends, numbers, right=True).clamp_max_(k - 1)
    return places[torch.randperm(k, generator=generator)]
