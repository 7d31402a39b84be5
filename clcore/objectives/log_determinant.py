"""Log-determinant: the volume that the picks span, and so the most likely set of a DPP.

Source: Kulesza & Taskar, "Determinantal point processes for machine learning", 2012; greedy by
incremental Cholesky: Chen, Zhang & Zhou, "Fast greedy MAP inference for determinantal point process
to improve recommendation diversity", NeurIPS 2018.

Formula: f(S) = log det(L_S + εI), with L_xy = q(x) q(y) k(x, y), f(∅) = 0. The gain of x is log d²,
where d² is what is left of L_xx + ε once the picks are known; with c_x the x-th row of the Cholesky
factor, a pick p brings c_x,p = (L_xp − ⟨c_x, c_p⟩) / d_p and d²_x ← d²_x − c_x,p².

Submodular. Monotone only where no gain is negative, surely for ε ≥ 1 (so with `jitter=1` and rows
of variance 1, log det(I + K), the information gain of a Gaussian process); the guarantee of greedy
is for that case.

Rank: L may have a smaller rank than there are picks to make (copies; inner products of d-vectors
with k > d). The ridge εI, ε = jitter × mean L_xx, then decides: d² never falls below ε, so every
gain is at least log ε, and among the rows whose variance is used up those come first that add most
to what the picks span a second time. Copies of a pick come last.

In double precision whatever the features are. On the CPU a row catches up with the picks when it is
asked (what was left before bounds it): O(d + picks) for each pick it has not seen, the pool's
memory O(n d + n k) at worst, of which rows that were never asked touch nothing. On a GPU all rows
follow each pick at once.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from clcore.errors import ArgumentError, SignalError
from clcore.geometry import as_matrix, normalised
from clcore.geometry.kernels import check_positive
from clcore.objective import Objective
from clcore.objectives._similarity import typical_distance
from clcore.pool import Pool

DeterminantKernel = Literal["rbf", "linear", "cosine"]


class LogDeterminant(Objective):
    """The log-determinant of the picks' kernel matrix.

    The pool's weights are not read: a determinant covers no rows. How good each row is goes in as
    `quality`.

    Args:
        pool: The candidates.
        kernel: k: `"rbf"`, exp(−d²/σ²); `"linear"`, ⟨x, y⟩; `"cosine"`.
        bandwidth: σ of `"rbf"`; None for the root mean squared distance of two rows.
        jitter: ε as a multiple of the mean of L_xx; positive.
        quality: A signal of the pool that holds q, one positive number a row; None for ones.

    Raises:
        ArgumentError: If an option is none of these.
        SignalError: If there is no such signal, or a quality is not positive.
    """

    monotone: ClassVar[bool] = False

    def __init__(
        self,
        pool: Pool,
        kernel: DeterminantKernel = "rbf",
        bandwidth: float | None = None,
        jitter: float = 1e-6,
        quality: str | None = None,
    ) -> None:
        if kernel not in get_args(DeterminantKernel):
            allowed = ", ".join(repr(name) for name in get_args(DeterminantKernel))
            raise ArgumentError(f"kernel must be one of {allowed}, not {kernel!r}")
        if bandwidth is not None and kernel != "rbf":
            raise ArgumentError(f"bandwidth is for the kernel 'rbf', not {kernel!r}")
        check_positive("jitter", jitter)
        matrix = as_matrix(pool.signal("features"))
        self._scale = 0.0
        if kernel == "rbf":
            bandwidth = typical_distance(matrix) if bandwidth is None else bandwidth
            check_positive("bandwidth", bandwidth)
            self._scale = 1 / bandwidth**2
            # Only distances count: near the origin the expansion loses least.
            centre = matrix.mean(dim=0, dtype=torch.float64) if len(matrix) else 0.0
            matrix = (matrix - centre).to(matrix.dtype)
        super().__init__(pool, kernel=kernel, bandwidth=bandwidth, jitter=jitter, quality=quality)
        self._vectors = normalised(matrix) if kernel == "cosine" else matrix
        self._quality = _quality(pool, quality)
        self._squares = self._vectors.to(torch.float64).square().sum(dim=1)
        variance = torch.ones_like(self._squares) if kernel == "rbf" else self._squares
        variance = variance * self._quality.square()
        mean = float(variance.mean()) if len(pool) else 1.0
        self._ridge = jitter * (mean or 1.0)
        self._variance = variance + self._ridge
        # Whether the function is monotone depends on the options: say so on the instance.
        object.__setattr__(self, "monotone", self._ridge >= 1)
        self._at_once = self.device.type != "cpu"
        self.reset()

    @property
    def step(self) -> int:
        """Multiplications that one gain takes of a row that lacks all of the picks."""
        return (self._vectors.shape[1] + self._count // 2) * (1 + self._count)

    def reset(self) -> None:
        """Go back to the empty set."""
        self._count = 0
        self._value = torch.zeros((), dtype=torch.float64, device=self.device)
        self._left = self._variance.clone()
        self._seen = torch.zeros(len(self), dtype=torch.int64, device=self.device)
        self._taken = torch.zeros(len(self), dtype=torch.bool, device=self.device)
        self._picks = torch.zeros(0, dtype=torch.int64, device=self.device)
        self._factor = self._empty(0)

    def gains(self, rows: Tensor) -> Tensor:
        """Return what each of some rows would add: float64 `[m]`, 0 for rows of the set."""
        if not self._at_once:
            self._catch_up(rows)
        gains = self._left[rows].clamp_min(self._ridge).log()
        return gains.masked_fill(self._taken[rows], 0.0)

    def add(self, rows: Tensor) -> None:
        """Put rows into the set."""
        for row in rows.unsqueeze(1):
            if self._count == len(self._picks):
                self._grow()
            if not self._at_once:
                self._catch_up(row)
            left = self._left[row].clamp_min(self._ridge)
            self._value = self._value + left[0].log()
            self._left[row] = left  # rounding may have brought it below
            self._picks[self._count] = row[0]
            self._taken.index_fill_(0, row, True)
            if self._at_once:
                self._follow(row, left)
            self._count += 1

    def value(self) -> float:
        """Return the value of the set."""
        return float(self._value)

    def _catch_up(self, rows: Tensor) -> None:
        """Show some rows the picks that they have not seen (CPU)."""
        from clcore.geometry.residuals import catch_up

        # A pick's row of the factor is final.
        open_rows = rows[~self._taken[rows]]
        if self._count == 0 or len(open_rows) == 0:
            return
        before = int(self._seen[open_rows].sum())
        self.evaluations += len(open_rows) * self._count - before
        arrays: list[Any] = [
            values.numpy() for values in (self._vectors, self._squares, self._quality)
        ]
        state = [values.numpy() for values in (self._factor, self._left, self._seen)]
        catch_up(open_rows.numpy(), self._picks.numpy(), self._count, *arrays, self._scale, *state)

    def _follow(self, row: Tensor, left: Tensor) -> None:
        """Show all rows a pick; nothing is read back from the device."""
        self.evaluations += len(self)
        vector = self._vectors[row][0]
        products = (self._vectors @ vector).to(torch.float64)
        if self._scale:
            squared = self._squares + self._squares[row] - 2 * products
            products = squared.clamp_min_(0).mul_(-self._scale).exp_()
        known = self._factor[: self._count]
        entry = products * self._quality * self._quality[row]
        entry = (entry - known[:, row].squeeze(1) @ known) / left.sqrt()
        # Picks are done with; their own rows stay as they are.
        entry = entry.masked_fill(self._taken, 0.0).index_copy(0, row, left.sqrt())
        self._factor[self._count] = entry
        self._left -= torch.where(self._taken, 0.0, entry.square())

    def _grow(self) -> None:
        """Make room for twice the picks."""
        capacity = max(64, 2 * len(self._picks))
        picks = torch.zeros(capacity, dtype=torch.int64, device=self.device)
        picks[: self._count] = self._picks
        factor = self._empty(capacity)
        if self._at_once:
            factor[: self._count] = self._factor
        else:
            # Rows that were never asked stay untouched: they take no memory.
            touched = (self._seen > 0).nonzero().squeeze(1)
            for rows in torch.split(touched, 2**12):
                factor[rows, : self._count] = self._factor[rows, : self._count]
        self._picks, self._factor = picks, factor

    def _empty(self, capacity: int) -> Tensor:
        """Return room for the factor: a row a candidate, or on a GPU a row a pick."""
        shape = (capacity, len(self)) if self._at_once else (len(self), capacity)
        if self.device.type == "cpu":
            return torch.from_numpy(np.empty(shape))  # pages that are not written to cost nothing
        return torch.zeros(shape, dtype=torch.float64, device=self.device)


def _quality(pool: Pool, name: str | None) -> Tensor:
    if name is None:
        return torch.ones(len(pool), dtype=torch.float64, device=pool.device)
    quality = pool.signal(name)
    if quality.ndim != 1:
        raise SignalError(
            f"signal {name!r} must have one quality a row, not shape {tuple(quality.shape)}"
        )
    if len(quality) and float(quality.min()) <= 0:
        row = int(quality.argmin())
        raise SignalError(
            f"signal {name!r} must be above 0 to be a quality: row {row} holds "
            f"{float(quality[row])}"
        )
    return quality.to(torch.float64)
