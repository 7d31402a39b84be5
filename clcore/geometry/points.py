"""Distances from many points to a few, without ever holding all pairs."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK_BYTES = 32 * 2**20
"""The most memory that a block of distances takes."""


class Points:
    """Points made ready for squared Euclidean distances: ‖x‖² + ‖y‖² − 2⟨x, y⟩.

    The points are centred first, because the expansion loses what the norms have in common, and
    stored with one coordinate a row, so that a product with one point streams through memory. The
    rounding of the expansion, a few units in the last place of the norms, is taken off and what is
    then negative counts as 0: so copies of a point are at distance 0.

    Args:
        matrix: float32 or float64 `[n, d]`.

    Attributes:
        columns: `[d, n]`: the centred points.
        squares: `[n]`: their squared lengths.
        evaluations: Distances computed so far.
    """

    def __init__(self, matrix: Tensor) -> None:
        centre = matrix.mean(dim=0, dtype=torch.float64).to(matrix.dtype)
        self.columns = (matrix - centre).t().contiguous()
        self.squares = self.columns.square().sum(dim=0)
        # The squared lengths less the rounding that they bring into a sum.
        self._lowered = self.squares * (1 - 8 * torch.finfo(matrix.dtype).eps)
        self.evaluations = 0

    def __len__(self) -> int:
        return len(self.squares)

    @property
    def device(self) -> torch.device:
        """Where the points lie."""
        return self.squares.device

    @property
    def step(self) -> int:
        """Multiplications that the distances to one point take."""
        return self.columns.numel()

    def to_row(self, row: int) -> Tensor:
        """Compute the squared distances of all points to one of them.

        Args:
            row: Which.

        Returns:
            A new `[n]`, none negative, 0 at `row`.
        """
        self.evaluations += len(self)
        # Contiguous: with a strided vector the product takes three times as long (measured).
        point = self.columns[:, row].contiguous()
        squared = torch.addmv(self._lowered, self.columns.t(), point, alpha=-2.0)
        return squared.add_(self._lowered[row]).clamp_min_(0.0)

    def to_centre(self) -> Tensor:
        """Return the squared distances of all points to their mean: `[n]`."""
        return self.squares

    def to_rows(self, rows: Tensor) -> Tensor:
        """Compute the squared distances of all points to some of them.

        Args:
            rows: int64 `[m]`.

        Returns:
            A new `[m, n]`, none negative.
        """
        self.evaluations += len(self) * len(rows)
        points = self.columns[:, rows]
        squared = torch.addmm(self._lowered, points.t(), self.columns, alpha=-2.0)
        return squared.add_(self._lowered[rows].unsqueeze(1)).clamp_min_(0.0)

    def nearest(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Find for every point the nearest of some rows, block by block.

        Args:
            rows: int64 `[m]`; with none, every distance is infinite and every place 0.

        Returns:
            Squared distances `[n]`, and the places in `rows` of the nearest, int64 `[n]`; the
            first where several are equally near.
        """
        least = torch.full_like(self.squares, torch.inf)
        place = torch.zeros(len(self), dtype=torch.int64, device=rows.device)
        block = max(1, BLOCK_BYTES // max(1, 2 * len(self) * least.element_size()))
        for start in range(0, len(rows), block):
            squared, here = self.to_rows(rows[start : start + block]).min(dim=0)
            nearer = squared < least
            least = torch.where(nearer, squared, least)
            place = torch.where(nearer, here + start, place)
        return least, place
