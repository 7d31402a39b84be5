"""Kernel coverage: how similar every row is to the most similar pick.

Source: Bae, Noh & Sutherland, "Generalized coverage for more robust low-budget active learning",
ECCV 2024 (generalised coverage); with the top-hat kernel Yehuda et al., "Active learning through a
covering lens", NeurIPS 2022 (ProbCover).

Formula: f(S) = Σ_x w(x) max_{s ∈ S} κ(d(x, s)), with κ = exp(−d²/σ²) (`rbf`), exp(−d/σ)
(`laplace`), 1/(1 + d²/σ²) (`student-t`) or [d ≤ σ] (`top-hat`); f(∅) = 0. Monotone and submodular.
As every κ falls with d, the state is the distance of each row to its nearest pick.

Memory: O(n d) and blocks of distances; never n × n.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from clcore.errors import ArgumentError
from clcore.geometry import Points, as_matrix, normalised
from clcore.geometry.gathering import gathered
from clcore.geometry.kernels import Kernel, KernelName, coverage_kernel
from clcore.objective import Objective
from clcore.pool import Pool

BLOCK = 2**19
"""Distances looked at together: about what the second-level cache holds (measured)."""


class Distances(Protocol):
    """What coverage asks of a source of distances; `Points` and `FactoredPoints` have it."""

    evaluations: int

    def __len__(self) -> int: ...

    @property
    def step(self) -> int:
        """Multiplications that the distances to one row take."""

    @property
    def squares(self) -> Tensor:
        """`[n]`: squared lengths; says the type and the device."""

    def to_rows(self, rows: Tensor) -> Tensor:
        """Squared distances `[m, n]` of some rows to all."""

    def nearest(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Squared distances `[n]` to the nearest of some rows, and its place."""

    def to_centre(self) -> Tensor:
        """Squared distances `[n]` to the mean."""


class KernelCoverage(Objective):
    """Sum over all rows of the similarity to the most similar pick.

    Args:
        pool: The candidates; its weights are w.
        kernel: `"rbf"`, `"laplace"`, `"student-t"` or `"top-hat"`.
        bandwidth: σ, in units of the Euclidean distance.
        normalise: Whether rows are scaled to length 1 first.
        tiebreak: ε, for the top-hat alone: κ is 1 + ε (1 − d/σ) within the radius, so that of two
            rows that cover as much the one that is nearer to what it covers comes first.

    Attributes:
        points: The distances: `Points`, or what has its interface.
        kernel: κ.
        row_weights: `[n]`, or None where all rows count alike.
        nearest: `[n]`: squared distance of each row to its nearest pick, infinite where none is.
        level: `[n]`: κ of that; `kernel.floor` where there is no pick.

    Raises:
        ArgumentError: If an option is none of these.
    """

    def __init__(
        self,
        pool: Pool,
        kernel: KernelName = "rbf",
        bandwidth: float = 1.0,
        normalise: bool = False,
        tiebreak: float = 0.0,
    ) -> None:
        super().__init__(
            pool, kernel=kernel, bandwidth=bandwidth, normalise=normalise, tiebreak=tiebreak
        )
        if not isinstance(normalise, bool):
            raise ArgumentError(f"normalise must be True or False, not {normalise!r}")
        chosen = coverage_kernel(kernel, bandwidth, tiebreak)
        self._prepare(self._make_points(pool, normalise), chosen)

    def _make_points(self, pool: Pool, normalise: bool) -> Distances:
        """Make the distances; another source of distances is one method of a subclass."""
        matrix = as_matrix(pool.signal(self.signals[0]))
        return Points(normalised(matrix) if normalise else matrix)

    def _prepare(self, points: Distances, kernel: Kernel) -> None:
        """Set what every kernel needs, and begin with the empty set."""
        self.points, self.kernel = points, kernel
        weights, kind = self.pool.weights, points.squares.dtype
        equal = weights is None or bool((weights == 1).all())
        self.row_weights = None if weights is None or equal else weights.to(kind)
        self.reset()

    @property
    def step(self) -> int:
        """Multiplications that one gain takes."""
        return self.points.step

    def reset(self) -> None:
        """Go back to the empty set."""
        squares = self.points.squares
        kind = self.kernel.working_type(squares.dtype)
        self.nearest = torch.full_like(squares, torch.inf)
        self.level = torch.full_like(squares, self.kernel.floor, dtype=kind)

    def gains(self, rows: Tensor) -> Tensor:
        """Say what each of some rows would add.

        Args:
            rows: int64 `[m]`.

        Returns:
            float64 `[m]`.
        """
        block = max(16, BLOCK // max(1, len(self)))
        parts = torch.split(rows, block)
        return gathered(parts, self._block_gains, len(rows), device=self.level.device)

    def _block_gains(self, rows: Tensor) -> Tensor:
        above = self.kernel.of(self._squared(rows)).sub_(self.level).clamp_min_(0)
        if self.row_weights is not None:
            above.mul_(self.row_weights)
        return above.sum(dim=1, dtype=torch.float64)

    def add(self, rows: Tensor) -> None:
        """Put rows into the set.

        Args:
            rows: int64 `[m]`.
        """
        block = max(1, BLOCK // max(1, len(self)))
        for part in torch.split(rows, block):
            closest = self._squared(part).min(dim=0).values
            self.nearest = torch.minimum(self.nearest, closest)
        self.level = self.levels(self.nearest)

    def levels(self, nearest: Tensor) -> Tensor:
        """Compute κ of the squared distances to the nearest pick: the floor where there is none.

        Args:
            nearest: `[n]`; may be infinite.

        Returns:
            A new `[n]`.
        """
        level = self.kernel.of(nearest.clone())
        return torch.where(torch.isinf(nearest), self.kernel.floor, level)

    def _squared(self, rows: Tensor) -> Tensor:
        before = self.points.evaluations
        squared = self.points.to_rows(rows)
        self.evaluations += self.points.evaluations - before
        return squared

    def value(self) -> float:
        """Return the value of the set."""
        above = (self.level - self.kernel.floor).to(torch.float64)
        if self.row_weights is not None:
            above = above * self.row_weights
        return float(above.sum())

    def ceiling(self) -> float:
        """Return the value of all rows together."""
        weight = self.pool.weights
        total = float(len(self)) if weight is None else float(weight.sum(dtype=torch.float64))
        return total * (self.kernel.top - self.kernel.floor)

    def weights(self, picks: Tensor) -> Tensor:
        """Return the weight of each pick's cell: of the rows to which it is the nearest pick.

        Rows that were covered before the picks (`given`) count with their nearest pick too, so
        that the cells make up the pool. Of copies among the picks the earlier has the row.

        Args:
            picks: int64 `[k]`, in pick order.

        Returns:
            float64 `[k]` that sum to the weight of the pool.
        """
        _, place = self.assigned(picks)
        return cell_weights(place, len(picks), self.pool.weights)

    def assigned(self, picks: Tensor) -> tuple[Tensor, Tensor]:
        """Give each row to its nearest pick.

        Args:
            picks: int64 `[k]`, at least one.

        Returns:
            Squared distances `[n]` and places among the picks, int64 `[n]`.
        """
        before = self.points.evaluations
        found = self.points.nearest(picks)
        self.evaluations += self.points.evaluations - before
        return found


def cell_weights(place: Tensor, cells: int, weights: Tensor | None) -> Tensor:
    """Add up the weights of the rows of each cell.

    Args:
        place: int64 `[n]`: the cell of each row.
        cells: How many there are.
        weights: `[n]`, or None for ones.

    Returns:
        float64 `[cells]`.
    """
    sizes = torch.zeros(cells, dtype=torch.float64, device=place.device)
    ones = torch.ones(1, dtype=torch.float64, device=place.device).expand(len(place))
    return sizes.index_add_(0, place, ones if weights is None else weights.to(torch.float64))


def largest_distance(points: Distances) -> float:
    """Bound the largest distance between two points: twice the largest to their mean."""
    return 2 * float(points.to_centre().max().sqrt()) if len(points) else 0.0
