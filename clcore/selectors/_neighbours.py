"""Exact nearest rows, in blocks, so that no matrix of all pairs is ever held."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK_BYTES = 32 * 2**20
"""The most memory that a block of distances takes."""


def nearest_rows(points: Tensor, count: int, among: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Find for each point the nearest others.

    Args:
        points: float32 or float64 `[n, d]`.
        count: How many; where there are fewer, all of them.
        among: `[m, d]`: the points to choose from; None for the other points (never itself).

    Returns:
        Squared Euclidean distances `[n, c]`, nearest first, none negative, and the places of those
        rows among the points to choose from, int64 `[n, c]`; c is `min(count, m)`, or
        `min(count, n − 1)` where the points are their own.
    """
    others = points if among is None else among
    count = min(count, len(others) - (among is None))
    if count < 1:
        empty = points.new_zeros(len(points), 0)
        return empty, empty.to(torch.int64)
    # Centred first: the expansion of the square loses what the lengths have in common.
    centre = others.mean(dim=0, dtype=torch.float64).to(points.dtype)
    others, points = others - centre, points - centre
    squares = others.square().sum(dim=1)
    step = max(1, BLOCK_BYTES // (len(others) * points.element_size()))
    distances, places = [], []
    for start in range(0, len(points), step):
        block = points[start : start + step]
        # ‖y‖² − 2⟨x, y⟩ has the order of the distances from x; ‖x‖² is added to the few kept.
        order = torch.addmm(squares, block, others.t(), alpha=-2.0)
        if among is None:
            rows = torch.arange(len(block), device=points.device)
            order[rows, rows + start] = torch.inf
        least, place = order.topk(count, dim=1, largest=False)
        distances.append((least + block.square().sum(dim=1, keepdim=True)).clamp_min_(0.0))
        places.append(place)
    return torch.cat(distances), torch.cat(places)
