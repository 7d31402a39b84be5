"""FDD-Coreset: k-center whose distance is the Fréchet distance between images' descriptors.

Source: the method of this name as a short description gives it, "k-center with the Fréchet distance
between the descriptor distributions of images"; no paper or code of it was found. Farthest-first is
Gonzalez's, "Clustering to minimize the maximum intercluster distance", 1985; the distance Dowson &
Landau's, "The Fréchet distance between multivariate normal distributions", 1982.

Formula: an image is the Gaussian of its spatial features, mean μ and covariance Σ over the
positions of a feature map, and

    p_t = argmax_x min_{j<t} d(x, p_j),  d² = ‖μ − μ′‖² + tr (Σ + Σ′ − 2 (Σ^½ Σ′ Σ^½)^½).

With `covariance="diagonal"` d is the Euclidean distance of (μ, σ), so the pruned traversal of
`k-center` does it: O(k n C) at most. With `"full"` each distance is a nuclear norm of a matrix of
m = min(L, C) columns, O(m² C + m³); the diagonal distance is a lower bound, so only those that
could lower a row's distance are computed. O(n L C) memory.

Defaults: diagonal covariances, channels first, maps as they are. Maps that were flattened to
`[n, d]`, as a probe does, need `shape=(C, H, W)`; without it a row is a single position, and the
method is `k-center`. The first pick is the row whose (μ, σ) is nearest to their mean;
`first="random"` draws it, a number names it. `gains` are the decreases of the covering radius.
Ties go to the lowest row. Labels are used for quotas alone.

Differences from reference codes: there are none known. Covariances divide by the number of
positions, so that one position has covariance 0.

Expected numbers: full distances are those of scipy's matrix root to 1e-9 (tests/clcore/geometry/
test_descriptors.py). CPU seconds on one core, 64 of 512 maps of 16 × 4 × 4: diagonal 0.003, full
0.13 with 30 % of the distances computed; 16 of 512 maps of 64 × 8 × 8, full, 1.2 with 90 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from clcore.checks import whole_number
from clcore.coreset import Coreset
from clcore.errors import ArgumentError, SignalError
from clcore.geometry import Points, farthest_first
from clcore.geometry.descriptors import Channels, GaussianPoints, spatial_moments
from clcore.pool import Pool
from clcore.quotas import Allowance
from clcore.ranking import one_of
from clcore.selector import Selector
from clcore.selectors.k_center import check_first, coreset_of, first_center


@dataclass(frozen=True)
class FDDCoreset(Selector):
    """Farthest-first picks under the Fréchet distance of per-image Gaussians.

    Args:
        covariance: `"diagonal"` or `"full"`.
        channels: Whether channels come `"first"` (convolutions) or `"last"` (tokens).
        shape: Of one row where rows are flattened, such as `(64, 8, 8)`; None for as they are.
        first: The first pick where nothing is given: `"center"`, `"random"` or a row number.
    """

    covariance: Literal["diagonal", "full"] = "diagonal"
    channels: Channels = "first"
    shape: tuple[int, ...] | None = None
    first: str | int = "center"

    greedy: ClassVar[bool] = True
    randomised: ClassVar[bool] = True

    def __post_init__(self) -> None:
        one_of("covariance", self.covariance, ("diagonal", "full"))
        one_of("channels", self.channels, ("first", "last"))
        check_first(self.first)
        if self.shape is not None:
            if not isinstance(self.shape, tuple | list) or not self.shape:
                raise ArgumentError(f"shape must be the shape of one row, not {self.shape!r}")
            numbers = tuple(whole_number("shape", number, least=1) for number in self.shape)
            object.__setattr__(self, "shape", numbers)

    def _select(
        self,
        pool: Pool,
        k: int,
        *,
        given: Tensor,
        allowance: Allowance,
        generator: torch.Generator,
    ) -> Coreset:
        maps = self._maps(pool.signal("features"))
        points: Points
        if self.covariance == "diagonal":
            points = Points(spatial_moments(maps, self.channels))
        else:
            points = GaussianPoints(maps, self.channels)
        first = None if len(given) else first_center(self.first, points, allowance, generator)
        found = farthest_first(points, k, allowance=allowance, given=given, first=first)
        return coreset_of(found, points)

    def _maps(self, features: Tensor) -> Tensor:
        maps = features.reshape(-1, 1) if features.ndim == 1 else features
        if self.shape is None:
            return maps
        numbers = maps[0].numel()
        if torch.Size(self.shape).numel() != numbers:
            raise SignalError(
                f"signal 'features' has {numbers} numbers a row, which is not shape {self.shape}"
            )
        return maps.reshape(len(maps), *self.shape)
