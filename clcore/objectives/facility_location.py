"""Facility location: how near every row is to the nearest pick.

Source: Cornuejols, Fisher & Nemhauser 1977; for coresets Mirzasoleiman et al., CRAIG, ICML 2020.

Formula: f(S) = Σ_x w(x) (c − min_{s ∈ S} d(x, s)), with c no less than the largest distance, so
that the picks do not depend on it; f(∅) = 0.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from clcore.geometry import Points, as_matrix
from clcore.objective import Objective
from clcore.pool import Pool


class FacilityLocation(Objective):
    """Sum over all rows of the similarity to the most similar pick.

    Args:
        pool: The candidates.
        **options: None so far.
    """

    def __init__(self, pool: Pool, **options: Any) -> None:
        super().__init__(pool, **options)
        self.points = Points(as_matrix(pool.signal("features")))
        self.far = 2 * float(self.points.squares.max().sqrt())
        ones = torch.ones_like(self.points.squares)
        self.rows_weight = ones if pool.weights is None else pool.weights.to(ones.dtype)
        self.reset()

    def reset(self) -> None:
        """Go back to the empty set."""
        self.best = torch.zeros_like(self.points.squares)

    def _similarities(self, rows: Tensor) -> Tensor:
        return self.far - self.points.to_rows(rows).sqrt()

    def gains(self, rows: Tensor) -> Tensor:
        """Return what each of some rows would add: `[m]`."""
        blocks = torch.split(rows, max(1, 2**22 // max(1, len(self))))
        parts = [
            (self._similarities(b) - self.best).clamp_min(0) @ self.rows_weight for b in blocks
        ]
        return torch.cat(parts)

    def add(self, rows: Tensor) -> None:
        """Put rows into the set."""
        self.best = torch.maximum(self.best, self._similarities(rows).max(dim=0).values)

    def value(self) -> float:
        """Return the value of the set."""
        return float(self.rows_weight @ self.best)

    def ceiling(self) -> float:
        """Return the value of all rows together."""
        return self.far * float(self.rows_weight.sum())
