"""The largest radius of balls that hold one label only."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from clcore.geometry.gathering import gathered
from clcore.geometry.points import BLOCK_BYTES, Points


def nearest_other(points: Points, labels: Tensor) -> Tensor:
    """Find how far from each row the nearest row of another label is.

    Args:
        points: `[n]`.
        labels: int64 `[n]`.

    Returns:
        Distances `[n]`; infinite where all rows have one label. n² distances, in blocks.
    """
    block = max(1, BLOCK_BYTES // max(1, 2 * len(points) * points.squares.element_size()))
    rows = torch.arange(len(points), device=points.device)

    def nearest(part: Tensor) -> Tensor:
        squared = points.to_rows(part)
        squared.masked_fill_(labels[part].unsqueeze(1) == labels, torch.inf)
        return squared.min(dim=1).values.sqrt_()

    squares = points.squares
    parts = torch.split(rows, block) if len(rows) else ()
    return gathered(parts, nearest, len(rows), dtype=squares.dtype, device=squares.device)


def pure_radius(points: Points, labels: Tensor, purity: float) -> float:
    """Find the largest radius at which a share of the balls around the rows is pure.

    The ball of a row is pure up to its nearest row of another label, so the radius is a quantile
    of those distances: no radii need be tried.

    Args:
        points: `[n]`.
        labels: int64 `[n]`.
        purity: The share of balls without any other label, above 0 and at most 1.

    Returns:
        A radius just short of the first that is too large: half-way down to the next smaller
        distance, so that rounding can't tip it. Twice the largest distance to the mean, and so no
        less than any distance, where every radius is pure; always positive.
    """
    farthest = 2 * float(points.to_centre().max().sqrt())
    ends = nearest_other(points, labels).double().sort().values
    impure = min(math.floor((1 - purity) * len(ends) + 1e-9), len(ends) - 1)
    limit = float(ends[impure])
    if not math.isfinite(limit):
        return farthest if farthest > 0 else 1.0
    below = ends[ends < limit * (1 - 1e-5)]
    radius = (float(below[-1]) + limit) / 2 if len(below) else limit / 2
    # Rows that only rounding tells from copies can have a limit of 0: then copies alone are near.
    return radius if radius > 0 else max(1e-6 * farthest, 1e-12)
