"""Distances of all rows to the nearest pick, for objectives that are functions of them."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 2**24
"""Distances that are held at once."""


def nearest_distances(features: Tensor, picks: Tensor) -> Tensor:
    """Compute the Euclidean distance of each row to its nearest pick.

    The nearest pick is found by one product in single precision; the distance to it is then taken
    directly, as the length of the difference in double precision. Two picks that a product cannot
    tell apart are at the same distance to seven digits.

    Args:
        features: Float `[n, d]`.
        picks: int64 `[k]`, at least one.

    Returns:
        float64 `[n]`.
    """
    exact = features.double()
    exact = exact - exact.mean(dim=0)
    rough = exact.float()
    centres = rough[picks].t().contiguous()
    half_squares = centres.square().sum(dim=0) / 2
    parts = []
    step = max(1, BLOCK // len(picks))
    for begin in range(0, len(rough), step):
        block = slice(begin, begin + step)
        nearest = torch.addmm(half_squares, rough[block], centres, alpha=-1).argmin(dim=1)
        parts.append((exact[block] - exact[picks[nearest]]).norm(dim=1))
    return torch.cat(parts)
