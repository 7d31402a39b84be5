"""Distances from many points to a few, without ever holding all pairs."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK_BYTES = 32 * 2**20
"""The most memory that a block of distances takes."""


class Points:
    """Points made ready for squared Euclidean distances: ‖x‖² + ‖y‖² − 2⟨x, y⟩.

    The points are centred first, because the expansion loses what the norms have in common, and
    stored with one coordinate a row, so that a product with one point streams through memory. What
    is smaller than the rounding of the expansion counts as 0: copies of a point are at distance 0.

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
        self._noise = 8 * torch.finfo(matrix.dtype).eps
        self._noises = self.squares * self._noise
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
        point, square = self.columns[:, row], self.squares[row]
        squared = torch.addmv(self.squares, self.columns.t(), point, alpha=-2.0).add_(square)
        # Also true for the slightly negative ones.
        return squared.masked_fill_(squared <= self._noises + self._noise * square, 0.0)

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
        points, squares = self.columns[:, rows], self.squares[rows]
        squared = torch.addmm(self.squares, points.t(), self.columns, alpha=-2.0)
        squared += squares.unsqueeze(1)
        noise = self._noises + self._noise * squares.unsqueeze(1)
        return squared.masked_fill_(squared <= noise, 0.0)

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
