"""Greedy coverage by balls: under a top-hat only the pairs within the radius matter, so keep them.

All distances are computed once, half of them because they go both ways; the pairs within the radius
make a graph that knows everything, and the picks cost additions along its edges.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from clcore.geometry.coverage import Rules, plain_points
from clcore.geometry.neighbours import Graph
from clcore.geometry.points import BLOCK_BYTES, Points
from clcore.maximiser import Picks, Stop
from clcore.quotas import Allowance

if TYPE_CHECKING:
    from clcore.objectives.kernel_coverage import KernelCoverage

MOST_PAIRS = 2**25
"""Pairs that are kept at most: 32 bytes each while the graph is made, 1 GiB."""


def pairs_within(points: Points, squared_radius: float) -> Graph | None:
    """Find all pairs of rows within a radius.

    Args:
        points: On the CPU.
        squared_radius: The largest squared distance of a pair.

    Returns:
        For each row all rows within the radius, itself included; None where there are too many.
    """
    from clcore.geometry.graph_loops import both_ways, pairs_in_block

    n, squares = len(points), points.squares
    lowered = squares * (1 - 8 * torch.finfo(squares.dtype).eps)
    size = max(1, BLOCK_BYTES // (16 * n))
    most, at, start, evaluations = min(4 * n, MOST_PAIRS), 0, 0, 0
    rows, columns = np.empty(most, dtype=np.int32), np.empty(most, dtype=np.int32)
    away = np.empty(most, dtype=squares.numpy().dtype)
    buffer = squares.new_empty(size * n)
    while start < n:
        here, left = slice(start, min(start + size, n)), slice(start, n)
        shape = (here.stop - start, n - start)
        block = buffer[: shape[0] * shape[1]].view(shape)
        torch.addmm(
            lowered[left], points.columns[:, here].t(), points.columns[:, left], alpha=-2, out=block
        )
        block.add_(lowered[here].unsqueeze(1)).clamp_min_(0)
        evaluations += block.numel()
        found = -1
        while found < 0:
            found = pairs_in_block(block.numpy(), squared_radius, start, rows, columns, away, at)
            if found < 0:
                if len(rows) >= MOST_PAIRS:
                    return None
                more = np.empty(min(2 * len(rows), MOST_PAIRS) - len(rows), dtype=np.int32)
                rows, columns = np.concatenate([rows, more]), np.concatenate([columns, more])
                away = np.concatenate([away, more.astype(away.dtype)])
        at, start = found, here.stop
    starts, members, distances = both_ways(n, rows[:at], columns[:at], away[:at])
    return Graph(starts, members, distances, evaluations)


def ball_coverage(
    objective: KernelCoverage, k: int, *, allowance: Allowance, stop: Stop | None = None
) -> Picks | None:
    """Maximise coverage by balls by lazy greedy, exactly.

    Args:
        objective: With a top-hat kernel and `Points` on the CPU; its set is built upon and then
            holds the picks.
        k: The most picks.
        allowance: Which rows may be picked; read, and not changed.
        stop: When to stop sooner.

    Returns:
        The picks and their gains, ties to the lowest row; None where the pairs within the radius
        are too many to keep.
    """
    from clcore.geometry import graph_loops as loops

    points, kernel, stop = plain_points(objective), objective.kernel, stop or Stop()
    graph = pairs_within(points, 1 / kernel.scale)
    if graph is None:
        return None
    target = stop.target(objective)
    target = target - objective.value() if target < math.inf else target
    rules = Rules.of(allowance)
    ones = torch.ones_like(points.squares)
    weights = (ones if objective.row_weights is None else objective.row_weights).numpy()
    level, bounds = objective.level.numpy().copy(), np.empty(len(objective))
    similar = np.empty(len(graph.squared), dtype=level.dtype)
    loops.worth(graph.squared, kernel.numbers, similar)
    lists = (graph.starts, graph.rows, similar, level, weights)
    loops.graph_gains(rules.open, *lists, bounds)
    picks, gains = np.empty(k, dtype=np.int64), np.empty(k)
    made = loops.graph_climb(
        *lists,
        rules.open,
        bounds,
        rules.keys,
        rules.room,
        -math.inf if stop.gain is None else stop.gain,
        target,
        picks,
        gains,
    )
    objective.evaluations += graph.evaluations
    objective.add(torch.from_numpy(picks[:made]))
    return Picks(picks[:made].tolist(), gains[:made].tolist())
