"""Farthest-first traversal: each pick is the point farthest from all picks before it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from clcore.geometry.points import Points
from clcore.geometry.threads import step_loop
from clcore.quotas import Allowance


def farthest_first(
    points: Points, k: int, *, allowance: Allowance, closest: Tensor, first: int | None = None
) -> tuple[list[int], list[float]]:
    """Pick points farthest-first, exactly, with one pass over the points a pick.

    Args:
        points: All points.
        k: How many to pick; no more than the allowance permits.
        allowance: Which may be picked; the picks are recorded in it.
        closest: `[n]`: squared distance of each point to the nearest that is taken already,
            infinite where none is; changed in place.
        first: The first pick; None for the farthest, as in every later step.

    Returns:
        The picks, and the covering radius after each: the largest distance of any point (also of
        those that may not be picked) to its nearest pick. Ties go to the lowest row.
    """
    picks: list[int] = []
    radii: list[float] = []
    with step_loop(points.step):
        for step in range(k):
            if step == 0 and first is not None:
                row = first
            else:
                row = int(torch.argmax(closest + allowance.penalty))
            torch.minimum(closest, points.to_row(row), out=closest)
            allowance.take(row)
            picks.append(row)
            radii.append(math.sqrt(float(closest.max())))
    return picks, radii
