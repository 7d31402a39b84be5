"""Moment matching: the mean of the picks follows the mean of the pool.

Source: Welling, "Herding dynamical weights to learn", ICML 2009; Chen, Welling & Smola,
"Super-samples from kernel herding", UAI 2010.

Formula: f(S) = ‖μ‖² − ‖μ − m(S)‖², with μ the (weighted) mean of the pool, m(S) the mean of the
picks and m(∅) = 0, the origin; so f(∅) = 0 and the ceiling is ‖μ‖². Greedy is herding with its
means counted exactly. Neither submodular nor monotone: a mean can get worse with every pick.

O(d) a gain and O(d) of state.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from clcore.geometry import as_matrix, normalised
from clcore.objective import Objective
from clcore.objectives._similarity import InnerProducts, products_along
from clcore.pool import Pool


class MomentMatching(Objective):
    """Nearness of the mean of the picks to the mean of the pool.

    Args:
        pool: The candidates; its weights weigh the mean.
        normalise: Whether rows are scaled to length 1 first.
    """

    submodular: ClassVar[bool] = False
    monotone: ClassVar[bool] = False

    def __init__(self, pool: Pool, normalise: bool = False) -> None:
        super().__init__(pool, normalise=normalise)
        matrix = as_matrix(pool.signal("features"))
        matrix = normalised(matrix) if normalise else matrix
        mass = float(len(self)) if pool.weights is None else float(pool.weights.sum())
        mean = InnerProducts(matrix, 1.0, 0.0).total(pool.weights)
        mean = mean / max(mass, torch.finfo(torch.float64).tiny)
        # Only the empty set's mean, the origin, is not relative to μ: all else is centred, so that
        # a mean far from the origin costs no digits.
        self._vectors = (matrix - mean).to(matrix.dtype)
        self._squares = self._vectors.square().sum(dim=1).to(torch.float64)
        self._largest = mean.square().sum()
        self.reset()

    @property
    def step(self) -> int:
        """Multiplications that one gain takes."""
        return self._vectors.shape[1]

    def reset(self) -> None:
        """Go back to the empty set."""
        kind, columns = torch.float64, self._vectors.shape[1]
        self._sum = torch.zeros(columns, dtype=kind, device=self.device)
        self._count = 0

    def _distance(self) -> Tensor:
        return self._sum.square().sum() / self._count**2 if self._count else self._largest

    def gains(self, rows: Tensor) -> Tensor:
        """Return what each of some rows would add: float64 `[m]`."""
        self.evaluations += len(rows)
        along = products_along(self._vectors, self._sum, rows)
        after = (self._sum.square().sum() + 2 * along + self._squares[rows]).clamp_min(0)
        return self._distance() - after / (self._count + 1) ** 2

    def add(self, rows: Tensor) -> None:
        """Put rows into the set."""
        self._sum = self._sum + self._vectors[rows].sum(dim=0, dtype=torch.float64)
        self._count += len(rows)

    def value(self) -> float:
        """Return the value of the set."""
        return float(self._largest - self._distance())

    def ceiling(self) -> float:
        """Return the value of a set whose mean is the pool's."""
        return float(self._largest)
