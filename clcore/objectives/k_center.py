"""k-center as a set function: by how much the picks bring the covering radius down.

Source: Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985; with outliers
Charikar, Khuller, Mount & Narasimhan, "Algorithms for facility location problems with outliers",
SODA 2001.

Formula: f(S) = R − r(S), where r(S) = max_x min_{s ∈ S} d(x, s) over the rows of positive weight is
the covering radius and R = r(∅) stands for it where nothing is picked: twice the largest distance
to the mean, no less than any distance. With outliers, r(S) is the smallest radius that covers all
but a given weight of rows. Monotone but *not* submodular: of two picks each may bring nothing and
both together much. So greedy on f has no guarantee, and lazy greedy is refused. For picks take the
selector k-center, whose farthest-first traversal is within twice the optimum; this function says
what a set is worth, and stops a loop at a radius.

O(n d) a gain (O(n (d + log n)) with outliers); memory O(n d).
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from clcore.errors import ArgumentError
from clcore.geometry import Points, as_matrix
from clcore.geometry.gathering import gathered
from clcore.objective import Objective
from clcore.pool import Pool

BLOCK = 2**19
"""Distances looked at together: about what the second-level cache holds."""


class KCenter(Objective):
    """The decrease of the covering radius.

    Args:
        pool: The candidates. Rows of weight 0 need not be covered; the other weights only count
            for the outliers.
        outliers: The share of the pool's weight that may stay uncovered: at least 0, below 1.

    Raises:
        ArgumentError: If the share is none.
    """

    submodular: ClassVar[bool] = False

    def __init__(self, pool: Pool, outliers: float = 0.0) -> None:
        super().__init__(pool, outliers=outliers)
        if not (math.isfinite(outliers) and 0 <= outliers < 1):
            raise ArgumentError(f"outliers must be at least 0 and below 1, not {outliers!r}")
        self._points = Points(as_matrix(pool.signal("features")))
        squares = self._points.squares
        self._largest = 2 * float(squares.max().sqrt()) if len(pool) else 0.0
        ones = torch.ones_like(squares, dtype=torch.float64)
        self._mass = ones if pool.weights is None else pool.weights.to(torch.float64)
        # Rounding in a sum of weights may not decide whether one more row is an outlier.
        self._spared = outliers * float(self._mass.sum()) * (1 + 1e-9)
        self.reset()

    @property
    def step(self) -> int:
        """Multiplications that one gain takes."""
        return self._points.step

    def reset(self) -> None:
        """Go back to the empty set."""
        self._closest = torch.full_like(self._points.squares, self._largest**2)

    def gains(self, rows: Tensor) -> Tensor:
        """Return what each of some rows would add: float64 `[m]`."""
        now = self._radii(self._closest.unsqueeze(0))
        size = max(16, BLOCK // max(1, len(self)))

        def shrunk(part: Tensor) -> Tensor:
            return now - self._radii(torch.minimum(self._squared(part), self._closest))

        parts = torch.split(rows, size)
        return gathered(parts, shrunk, len(rows), dtype=now.dtype, device=now.device)

    def add(self, rows: Tensor) -> None:
        """Put rows into the set."""
        size = max(16, BLOCK // max(1, len(self)))
        for start in range(0, len(rows), size):
            near = self._squared(rows[start : start + size]).min(dim=0).values
            self._closest = torch.minimum(self._closest, near)

    def value(self) -> float:
        """Return the value of the set."""
        return self._largest - self.radius()

    def radius(self) -> float:
        """Return the covering radius, without the outliers; R where nothing is picked."""
        return float(self._radii(self._closest.unsqueeze(0)))

    def ceiling(self) -> float:
        """Return the value at radius 0."""
        return self._largest

    def _radii(self, squared: Tensor) -> Tensor:
        """Return the radius that covers all but the outliers, for each row of `[m, n]`."""
        if squared.shape[1] == 0:
            return squared.new_zeros(len(squared), dtype=torch.float64)
        if self._spared == 0:
            covered = torch.where(self._mass > 0, squared, torch.zeros_like(squared))
            return covered.amax(dim=1).sqrt().to(torch.float64)
        ordered, order = squared.sort(dim=1, descending=True)
        farther = self._mass[order].cumsum(dim=1)  # with the row itself
        # The first row, from the far end, that the spared weight does not pay for.
        first = (farther <= self._spared).sum(dim=1, keepdim=True).clamp_max(len(self) - 1)
        return ordered.gather(1, first).squeeze(1).sqrt().to(torch.float64)

    def _squared(self, rows: Tensor) -> Tensor:
        self.evaluations += len(rows) * len(self)
        return self._points.to_rows(rows)
