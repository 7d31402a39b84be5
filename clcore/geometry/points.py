"""Distances from many points to a few, without ever holding all pairs."""

from __future__ import annotations

from functools import cached_property

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
        matrix: float32 or float64 `[n, d]`; kept, not copied.

    Attributes:
        matrix: The rows as given.
        evaluations: Distances computed so far.
    """

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix
        self.evaluations = 0

    def __len__(self) -> int:
        return len(self.matrix)

    @property
    def device(self) -> torch.device:
        """Where the points lie."""
        return self.matrix.device

    @property
    def step(self) -> int:
        """Multiplications that the distances to one point take."""
        return self.matrix.numel()

    # The columns are made when first asked for: loops over single pairs do without them.
    @cached_property
    def columns(self) -> Tensor:
        """The centred points, `[d, n]`."""
        centre = self.matrix.mean(dim=0, dtype=torch.float64).to(self.matrix.dtype)
        return (self.matrix - centre).t().contiguous()

    @cached_property
    def squares(self) -> Tensor:
        """The squared lengths of the centred points, `[n]`."""
        return self.columns.square().sum(dim=0)

    @cached_property
    def _lowered(self) -> Tensor:
        """The squared lengths less the rounding that they bring into a sum."""
        return self.squares * (1 - 8 * torch.finfo(self.matrix.dtype).eps)

    def safe_rows(self) -> Tensor:
        """Return the rows as given, or in double precision where float32 squares would overflow.

        Returns:
            Contiguous `[n, d]`.
        """
        if self.matrix.dtype == torch.float32 and self.matrix.numel():
            least, most = (float(bound) for bound in torch.aminmax(self.matrix))
            if not 1e-12 < max(-least, most) < 1e15:
                return self.matrix.double()
        return self.matrix

    def to_row(self, row: int | Tensor) -> Tensor:
        """Compute the squared distances of all points to one of them.

        Args:
            row: Which; an int64 tensor `[1]` is not read on the host.

        Returns:
            A new `[n]`, none negative, 0 at `row`.
        """
        self.evaluations += len(self)
        if isinstance(row, Tensor):
            # Contiguous: with a strided vector the product takes three times as long (measured).
            point = self.columns.index_select(1, row).squeeze(1)
            offset = self._lowered.index_select(0, row)
        else:
            point, offset = self.columns[:, row].contiguous(), self._lowered[row]
        squared = torch.addmv(self._lowered, self.columns.t(), point, alpha=-2.0)
        return squared.add_(offset).clamp_min_(0.0)

    def to_centre(self) -> Tensor:
        """Return the squared distances of all points to their mean: `[n]`.

        On the CPU in double precision, by direct differences.
        """
        if self.device.type != "cpu":
            return self.squares
        from clcore.geometry.compiled import exact_to_point

        squared = torch.empty(len(self), dtype=torch.float64)
        centre = self.matrix.mean(dim=0, dtype=torch.float64)
        exact_to_point(self.matrix.numpy(), centre.numpy(), squared.numpy())
        return squared

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
