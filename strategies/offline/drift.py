"""When to choose again: once the coreset's gradient has drifted from that of the data.

A coreset is chosen so that Σ_j γ_j ∇f_j is near Σ_i ∇f_i for the model as it was. While the model
moves, the relative error

    e = ‖ Σ_i ∇f_i − Σ_j γ_j ∇f_j ‖ / ‖ Σ_i ∇f_i ‖

grows; once it is more than `factor` times what it was right after the choice, the choice is made
again. Gradients are those of the last layer, as two factors from one forward pass without a
backward one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clcore.checks import whole_number
from clcore.errors import ArgumentError
from clcore.geometry import as_matrix
from clcore.geometry.factored import FactoredPoints
from clcore.pool import Pool


@dataclass(frozen=True)
class Drift:
    """Choose again when the gradient error has grown.

    The error of a sample of the rows is measured, the same at the choice and later, so that what
    the sample does not show cancels for the most part. The full sum of gradients goes to zero as
    training converges and the relative error grows by that alone: `every` bounds how often a choice
    is made again.

    Args:
        factor: Choose again once the error exceeds this times its value right after the choice;
            above 1.
        every: Epochs between two measurements.
        sample: Rows that stand for all in Σ_i ∇f_i, drawn at each choice; None for all of them,
            which costs a forward pass over the data at each measurement.

    Raises:
        ArgumentError: If a number is out of range.
    """

    factor: float = 1.5
    every: int = 1
    sample: int | None = 4096

    def __post_init__(self) -> None:
        number = isinstance(self.factor, int | float) and not isinstance(self.factor, bool)
        if not (number and 1.0 < self.factor < float("inf")):
            raise ArgumentError(f"factor must be a finite number above 1, not {self.factor!r}")
        whole_number("every", self.every, least=1)
        if self.sample is not None:
            whole_number("sample", self.sample, least=1)

    def rows(self, rows: int, generator: torch.Generator) -> Tensor | None:
        """Draw the rows that stand for all.

        Args:
            rows: How many there are.
            generator: What to draw from.

        Returns:
            int64 `[sample]`, sorted; None for all rows.
        """
        if self.sample is None or self.sample >= rows:
            return None
        return torch.randperm(rows, generator=generator)[: self.sample].sort().values


def gradient_error(
    pool: Pool,
    indices: Tensor,
    weights: Tensor,
    *,
    rows: Tensor | None = None,
    bias: bool = True,
) -> float:
    """Measure how far a weighted subset's gradient is from that of the data.

    Args:
        pool: All rows, with the signals `logit_gradients` and `features`; of a lazy pool, only the
            rows that are needed are sent through the model.
        indices: int64 `[k]`: rows of the subset.
        weights: `[k]`; only their proportions count: they are scaled to sum to the rows of the
            pool.
        rows: int64 `[m]`: rows that stand for all; None for all of them.
        bias: Whether the last layer has a bias.

    Returns:
        ‖Σ_i ∇f_i − Σ_j γ_j ∇f_j‖ / ‖Σ_i ∇f_i‖; infinity where the denominator alone is 0, and 0
        where both are.

    Raises:
        SignalError: If a signal is missing, or holds NaN or infinity.
        ArgumentError: If a row is out of range, or all weights are zero.

    Example:
        >>> errors = torch.tensor([[1.0], [1.0], [-1.0], [3.0]])
        >>> pool = Pool(logit_gradients=errors, features=torch.zeros(4, 1))
        >>> gradient_error(pool, torch.tensor([0]), torch.tensor([4.0]))
        0.0
    """
    whole = _mean_gradient(pool, rows, None, bias)
    part = _mean_gradient(pool, indices, weights, bias)
    difference, length = float((whole - part).norm()), float(whole.norm())
    if length > 0:
        return difference / length
    return float("inf") if difference > 0 else 0.0


def _mean_gradient(pool: Pool, rows: Tensor | None, weights: Tensor | None, bias: bool) -> Tensor:
    """Return the weighted mean of last-layer gradients, float64 `[C, d + 1]`."""
    part = pool if rows is None else pool.subset(rows)
    part.compute("logit_gradients", "features")
    errors = as_matrix(part.signal("logit_gradients"))
    points = FactoredPoints(errors, as_matrix(part.signal("features")).to(errors), bias=bias)
    shares = torch.ones(len(part), dtype=torch.float64, device=errors.device)
    if weights is not None:
        shares = weights.to(shares)
    total = float(shares.sum())
    if total <= 0:
        raise ArgumentError("weights are all zero: at least one row must count")
    return points.sums(shares / total)
