"""Herds under a kernel: the mean of the rows as functions κ(x, ·), never written out."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from clcore.geometry.herds import Herd, evenly
from clcore.geometry.kernels import Kernel
from clcore.geometry.points import Points

SMALL = 2048
"""Rows up to which all pairs are kept: 16 MiB in single precision."""

BLOCK = 4 * 2**20
"""Pairs in a block of the mean where they are not kept."""


class KernelHerd(Herd):
    """A herd whose mean is the mean embedding μ(x) = Σ_y share(y) κ(x, y).

    The next pick is argmax (t + 1) μ(x) − Σ_p κ(x, p) over the t picks p before it. Since κ(x, x)
    is the same for all rows, it is also the pick that leaves the smallest distance (MMD) between
    the mean of the picks and μ.

    Args:
        matrix: Rows of the herd alone, `[m, d]`, contiguous.
        kernel: κ, with κ(x, x) = 1.
        rows: int64 `[m]`, ascending: which rows of the pool they are.
        is_given: bool `[n]`: rows of the pool that count as picks made before.
        weights: `[n]`: how much each row counts in the mean; None for evenly.
        references: Over how many rows of the herd, evenly spaced, the mean is taken; None for all.

    Attributes:
        evaluations: Pairs computed for the mean.
    """

    def __init__(
        self,
        matrix: Tensor,
        kernel: Kernel,
        rows: Tensor,
        is_given: Tensor,
        *,
        weights: Tensor | None = None,
        references: int | None = None,
    ) -> None:
        super().__init__(rows, is_given)
        self.points, self.kernel = Points(matrix), kernel
        some = torch.arange(len(rows), device=rows.device)
        if references is not None and references < len(rows):
            some = torch.linspace(0, len(rows) - 1, references, device=rows.device).round().long()
        shares = evenly(rows[some], weights)
        whole = len(some) == len(rows) <= SMALL
        self._pairs = kernel.of(self.points.to_rows(some)) if whole else None
        self.embedding = self._embedding(some, shares)
        self.evaluations = len(some) * len(rows)
        # ‖μ‖², Σ_p μ(p) and Σ κ(p, p′) over the picks: what the distance is made of.
        self.square = float(shares @ self.embedding[some])
        places = torch.isin(rows, self.taken).nonzero().squeeze(1)
        self.near = torch.zeros_like(self.embedding)
        for place in places:
            self.near += self._row(place.reshape(1))
        self.reached = float(self.embedding[places].sum())
        self.mutual = float(self.near[places].sum())
        self.distance = math.sqrt(max(0.0, self._squared_distance()))

    def _squared_distance(self) -> float:
        if self.count == 0:
            return self.square
        return self.square - 2 * self.reached / self.count + self.mutual / self.count**2

    def _embedding(self, some: Tensor, shares: Tensor) -> Tensor:
        """Return μ, float64 `[m]`."""
        if self._pairs is not None:
            return shares @ self._pairs.to(torch.float64)
        total = torch.zeros(len(self.points), dtype=torch.float64, device=self.rows.device)
        size = max(1, BLOCK // len(self.points))
        for start in range(0, len(some), size):
            part = slice(start, start + size)
            block = self.kernel.of(self.points.to_rows(some[part]))
            total += shares[part].to(block.dtype) @ block
        return total

    def _row(self, place: Tensor) -> Tensor:
        """Return κ(·, p) for one row, float64 `[m]`."""
        if self._pairs is not None:
            return self._pairs.index_select(0, place).squeeze(0).to(torch.float64)
        return self.kernel.of(self.points.to_row(place)).to(torch.float64)

    def _advance(self, k: int) -> tuple[Tensor, Tensor]:
        walk = self._walk_kept if self._pairs is not None and self._on_cpu else self._walk
        places, reached, mutual = walk(k)
        self.is_open[places] = False
        counts = torch.arange(self.count + 1, self.count + k + 1, dtype=torch.float64)
        # The sums are read back once, after all picks.
        reached, mutual = (
            start + steps.cpu().cumsum(0)
            for start, steps in ((self.reached, reached), (self.mutual, mutual))
        )
        if k:
            self.reached, self.mutual = float(reached[-1]), float(mutual[-1])
        squares = self.square - 2 * reached / counts + mutual / counts.square()
        return places, squares.clamp_min(0).sqrt()

    @property
    def _on_cpu(self) -> bool:
        return self.rows.device.type == "cpu"

    def _walk(self, k: int) -> tuple[Tensor, Tensor, Tensor]:
        """Make k picks; returns them and what each adds to the two sums, `[k]` each."""
        penalty = torch.where(self.is_open, 0.0, -torch.inf).to(torch.float64)
        places, reached, mutual = [], [], []
        for step in range(k):
            scores = self.embedding * (self.count + step + 1) - self.near + penalty
            place = scores.argmax(keepdim=True)
            row = self._row(place)
            penalty.index_fill_(0, place, -torch.inf)
            places.append(place)
            reached.append(self.embedding.index_select(0, place))
            crossed = self.near.index_select(0, place)
            mutual.append(2 * crossed + row.index_select(0, place))
            self.near += row
        if not places:
            return self.taken[:0], self.near[:0], self.near[:0]
        return torch.cat(places), torch.cat(reached), torch.cat(mutual)

    def _walk_kept(self, k: int) -> tuple[Tensor, Tensor, Tensor]:
        """Do the same in one compiled loop, with all pairs at hand."""
        from clcore.geometry.kernel_herding_loop import walk

        assert self._pairs is not None
        places = torch.empty(k, dtype=torch.int64)
        reached, mutual = torch.empty(2, k, dtype=torch.float64)
        walk(
            self._pairs.numpy(), self.embedding.numpy(), self.near.numpy(),
            self.is_open.numpy().copy(), self.count, places.numpy(), reached.numpy(),
            mutual.numpy(),
        )  # fmt: skip
        return places, reached, mutual


def median_distance(matrix: Tensor, sample: int = 256) -> float:
    """Return the median Euclidean distance between two different rows.

    Args:
        matrix: `[n, d]`.
        sample: Where there are more rows than this, so many of them are taken, evenly spaced.

    Returns:
        The median (the lower one of two); 1 where it is 0 or there is but one row.
    """
    rows = matrix
    if len(matrix) > sample:
        rows = matrix[torch.linspace(0, len(matrix) - 1, sample).round().long().to(matrix.device)]
    squared = Points(rows).to_rows(torch.arange(len(rows), device=rows.device))
    above = torch.triu_indices(len(rows), len(rows), offset=1, device=rows.device)
    pairs = squared[above[0], above[1]]
    median = math.sqrt(float(pairs.median())) if len(pairs) else 0.0
    return median if median > 0 else 1.0
