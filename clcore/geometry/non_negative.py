"""Non-negative least squares that grows one variable at a time.

Source: Lawson & Hanson, "Solving Least Squares Problems", 1974, chapter 23 (NNLS), with a Cholesky
factor that is extended and shrunk instead of made anew.

Formula: over w ≥ 0 minimise

    ‖t − Aᵀ w‖² + ridge ‖w‖² = ‖t‖² − 2 bᵀ w + wᵀ (G + ridge) w,   G = A Aᵀ, b = A t.

A variable enters the passive set (those above 0) where its slope b − G w is positive, the passive
set is solved without bounds, and where that would make weights negative the step stops at the first
that reaches 0 and that variable leaves. At the minimum bᵀ w is by how much the objective fell.

The normal equations square the condition of A, so G and b are wanted in double precision, computed
from the rows and not from products in single precision; a variable that depends on the passive ones
to 11 digits of its squared length keeps weight 0.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

Column = npt.NDArray[np.float64]

DEPENDENT = 1e-11
"""A variable with less than this share of its squared length left by the passive ones stays out."""


class NonNegativeLeastSquares:
    """The problem's state: a growing set of variables and their best weights.

    Args:
        square: ‖t‖², what there is to be explained.
        ridge: Weight of the penalty on ‖w‖²; not negative.

    Attributes:
        size: How many variables there are.
        square: As given.
        ridge: As given.
    """

    def __init__(self, square: float, ridge: float = 0.0) -> None:
        self.square, self.ridge = square, ridge
        self.size = self._passive = 0
        self._room = 0
        self._weights = self._target = self._half = np.zeros(0)
        self._gram = self._factor = np.zeros((0, 0))
        self._order = np.zeros(0, dtype=np.int64)
        self._make_room(16)

    @property
    def weights(self) -> Column:
        """The best weights: float64 `[size]`, none negative."""
        return self._weights[: self.size]

    @property
    def passive(self) -> npt.NDArray[np.int64]:
        """The variables above 0, in the order of the factor: int64 `[p]`."""
        return self._order[: self._passive]

    @property
    def factor(self) -> Column:
        """The lower Cholesky factor of G + ridge on the passive variables: float64 `[p, p]`."""
        return self._factor[: self._passive, : self._passive]

    @property
    def value(self) -> float:
        """By how much the objective is below its value at w = 0; never negative."""
        return max(0.0, float(self._target[: self.size] @ self.weights))

    @property
    def residual(self) -> float:
        """The length of t − Aᵀ w, without the penalty."""
        penalty = self.ridge * float(self.weights @ self.weights)
        return float(np.sqrt(max(0.0, self.square - self.value - penalty)))

    def add(self, products: Column, diagonal: float, target: float) -> None:
        """Add a variable and find the best weights again.

        Args:
            products: float64 `[size]`: its inner products with those that are there.
            diagonal: Its squared length.
            target: Its inner product with t.
        """
        from clcore.geometry import non_negative_kernels as kernels

        self._make_room(self.size + 1)
        m = self.size
        self._gram[m, :m] = self._gram[:m, m] = products
        self._gram[m, m], self._target[m] = diagonal, target
        self._weights[m] = 0.0
        self.size = m + 1
        self._passive = kernels.refit(
            self._gram, self._target, self.ridge, self._slack, self._factor,
            self._half, self._order, self._weights, self._passive, self.size,
        )  # fmt: skip

    def gains(self, products: Column, diagonals: Column, targets: Column) -> Column:
        """Say by how much the value would rise with each of some variables alone added.

        Where the passive variables stay passive and none joins them beside the new one, that is
        slope² over what of the new variable's squared length the passive ones leave; all such are
        solved at once. The others are solved one by one.

        Args:
            products: float64 `[r, size]`: their inner products with those that are there.
            diagonals: float64 `[r]`: their squared lengths.
            targets: float64 `[r]`: their inner products with t.

        Returns:
            float64 `[r]`, none negative.
        """
        p, order = self._passive, self._order[: self._passive]
        slopes = targets - products @ self.weights
        wanted = slopes > self._slack * np.sqrt(diagonals)
        factor = torch.from_numpy(self._factor[:p, :p])
        columns = torch.from_numpy(np.ascontiguousarray(products[:, order].T))
        half = torch.linalg.solve_triangular(factor, columns, upper=False)
        left = diagonals + self.ridge - half.square().sum(dim=0).numpy()
        wanted &= left > DEPENDENT * (diagonals + self.ridge)
        steps = np.where(wanted, slopes / np.where(wanted, left, 1.0), 0.0)
        gains: Column = steps * np.where(wanted, slopes, 0.0)
        fall = torch.linalg.solve_triangular(factor.T, half, upper=True).numpy()
        passive = self._weights[order][:, None] - fall * steps
        idle = np.setdiff1d(np.arange(self.size), order)
        after = (
            self._target[idle][:, None]
            - self._gram[np.ix_(idle, order)] @ passive
            - products[:, idle].T * steps
        )
        slack = self._slack * np.sqrt(self._gram[idle, idle])
        hard = wanted & ((passive < 0).any(axis=0) | (after > slack[:, None]).any(axis=0))
        if hard.any():
            solved = self._values_with(products[hard], diagonals[hard], targets[hard])
            gains[hard] = np.maximum(0.0, solved - self.value)
        return gains

    def _values_with(self, products: Column, diagonals: Column, targets: Column) -> Column:
        from clcore.geometry import non_negative_kernels as kernels

        self._make_room(self.size + 1)
        used = slice(0, self.size + 1)
        values: Column = kernels.values_with(
            self._gram[used, used].copy(), self._target[used].copy(), self.ridge, self._slack,
            self._factor[used, used].copy(), self._half[used].copy(), self._order[used].copy(),
            self._weights[used].copy(), self._passive, self.size,
            np.ascontiguousarray(products), diagonals, targets,
        )  # fmt: skip
        return values

    @property
    def _slack(self) -> float:
        """What a slope may have by rounding alone, per unit of its variable's length."""
        return 1e-12 * float(np.sqrt(self.square))

    def _make_room(self, size: int) -> None:
        if size <= self._room:
            return
        room = max(size, 2 * self._room)
        extra = room - self._room
        for name in ("_weights", "_target", "_half", "_order"):
            setattr(self, name, np.pad(getattr(self, name), (0, extra)))
        for name in ("_gram", "_factor"):
            setattr(self, name, np.pad(getattr(self, name), ((0, extra), (0, extra))))
        self._room = room
