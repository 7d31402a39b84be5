"""Images as Gaussians of their spatial features, and the Fréchet distance between two of them.

Source: Dowson & Landau, "The Fréchet distance between multivariate normal distributions", 1982; the
bound by marginals is that of any transport with a cost that is a sum over coordinates (Gelbrich,
"On a formula for the L2 Wasserstein metric between measures on Euclidean and Hilbert spaces",
1990).

Formula: of L positions with C channels each, mean μ and covariance Σ (dividing by L);

    d² = ‖μ₁ − μ₂‖² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁^½ Σ₂ Σ₁^½)^½.

With diagonal covariances that is ‖μ₁ − μ₂‖² + ‖σ₁ − σ₂‖², the Euclidean distance of the vectors
(μ, σ), so every Euclidean method applies. With full ones and factors Σ = AᵀA the last trace is the
nuclear norm of A₁A₂ᵀ, at most min(L, C) wide. The diagonal distance is never larger than the full
one, which spares most of the singular values.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from clcore.errors import SignalError
from clcore.geometry.points import BLOCK_BYTES, Points

Channels = Literal["first", "last"]

SAME = 1e-12
"""Share of the traces below which a squared distance is rounding."""


def positions(maps: Tensor, channels: Channels = "first") -> Tensor:
    """Bring feature maps into one order.

    Args:
        maps: `[n, C, ...]`, or `[n, ..., C]` where channels are last (tokens); `[n, C]` is one
            position.
        channels: Where the channels are.

    Returns:
        `[n, L, C]`, float64 or float32.

    Raises:
        SignalError: If there are fewer than two dimensions.
    """
    if maps.ndim < 2:
        raise SignalError(
            f"signal 'features' must be maps [n, channels, ...], not of shape {tuple(maps.shape)}"
        )
    maps = maps if maps.dtype == torch.float64 else maps.float()
    if maps.ndim == 2:
        return maps.unsqueeze(1)
    if channels == "first":
        maps = maps.movedim(1, -1)
    return maps.reshape(len(maps), -1, maps.shape[-1])


def spatial_moments(maps: Tensor, channels: Channels = "first") -> Tensor:
    """Describe each image by the mean and standard deviation of its channels over positions.

    Euclidean distances between these are Fréchet distances between diagonal Gaussians.

    Args:
        maps: Feature maps, see `positions`.
        channels: Where the channels are.

    Returns:
        `[n, 2 C]`: means, then standard deviations (dividing by L); float64 stays, else float32.
    """
    rows = positions(maps, channels)
    parts = [_moments(block) for block in torch.split(rows, _block(rows))]
    return torch.cat(parts) if parts else rows.new_empty(0, 2 * rows.shape[2])


def _moments(rows: Tensor) -> Tensor:
    # Double precision: the deviation of a channel that hardly varies is lost in single.
    exact = rows.double()
    mean = exact.mean(dim=1)
    deviation = (exact - mean.unsqueeze(1)).square().mean(dim=1).sqrt()
    return torch.cat([mean, deviation], dim=1).to(rows.dtype)


class GaussianPoints(Points):
    """Images as full Gaussians, for a traversal that keeps a running minimum of distances.

    Args:
        maps: Feature maps, see `positions`.
        channels: Where the channels are.

    Attributes:
        matrix: float64 `[n, 2 C]`: means and standard deviations, whose distances are the bounds.
        evaluations: Nuclear norms computed so far.
    """

    def __init__(self, maps: Tensor, channels: Channels = "first") -> None:
        rows = positions(maps, channels).double()
        super().__init__(spatial_moments(rows, "last") if rows.shape[1] > 1 else _points(rows))
        size = rows.shape[1]
        centred = (rows - rows.mean(dim=1, keepdim=True)) / size**0.5
        # A triangular factor is as good, and smaller where there are more positions than channels.
        more = size > rows.shape[2]
        self._factors = torch.linalg.qr(centred, mode="r").R if more else centred
        self._traces = centred.square().sum(dim=(1, 2))
        self._closest = torch.full((len(rows),), torch.inf, dtype=rows.dtype, device=rows.device)

    @property
    def step(self) -> int:
        """Multiplications that the distances to one image take, at most."""
        return int(self._factors.numel() * self._factors.shape[1])

    def to_row(self, row: int | Tensor) -> Tensor:
        """Compute the squared distances of all images to one of them, as far as they matter.

        Args:
            row: Which; a number or an int64 `[1]`.

        Returns:
            A new `[n]`: the distance where it is below all that were computed before, else a number
            that is not below them. So the running minimum is exact.
        """
        bound = super().to_row(row)
        self.evaluations -= len(self)
        open_rows = (bound < self._closest).nonzero().squeeze(1)
        squared = bound.clone()
        squared[open_rows] = self.exact(open_rows, int(row))
        torch.minimum(self._closest, squared, out=self._closest)
        return squared

    def nearest(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Find for every image the nearest of some, and start the running minimum from there.

        Args:
            rows: int64 `[m]`; with none every distance is infinite and every place 0.

        Returns:
            Squared distances `[n]`, and the places in `rows` of the nearest, int64 `[n]`.
        """
        self._closest.fill_(torch.inf)
        least = self._closest.clone()
        place = torch.zeros(len(self), dtype=torch.int64, device=self.device)
        for number in range(len(rows)):
            squared = self.to_row(rows[number : number + 1])
            place = torch.where(squared < least, number, place)
            least = torch.minimum(least, squared)
        return least, place

    def exact(self, rows: Tensor, row: int) -> Tensor:
        """Compute squared distances of some images to one.

        Args:
            rows: int64 `[m]`.
            row: The one.

        Returns:
            float64 `[m]`, none negative.
        """
        self.evaluations += len(rows)
        size = self._factors.shape[1]
        other = self._factors[row].t()
        step = max(1, BLOCK_BYTES // (8 * size * self._factors.shape[2]))
        norms = [
            torch.linalg.svdvals(self._factors[part] @ other).sum(dim=1)
            for part in torch.split(rows, step)
        ]
        channels = self.matrix.shape[1] // 2
        means = self.matrix[:, :channels]
        apart = (means[rows] - means[row]).square().sum(dim=1)
        traces = self._traces[rows] + self._traces[row]
        spread = traces - 2 * torch.cat(norms) if norms else traces
        # What rounding leaves of equal covariances is no distance.
        return apart + torch.where(spread > SAME * traces, spread, 0.0)


def _points(rows: Tensor) -> Tensor:
    """Return the moments of single positions: their deviation is 0."""
    return torch.cat([rows.squeeze(1), torch.zeros_like(rows.squeeze(1))], dim=1)


def _block(rows: Tensor) -> int:
    return max(1, BLOCK_BYTES // max(1, 8 * rows.shape[1] * rows.shape[2]))
