"""Exact lazy greedy of kernel coverage on the CPU: the same picks as step by step, much faster.

Coverage is submodular, so the last gain computed of a row bounds its gain now. The first gains of
all rows are matrix products; from then on a compiled loop keeps the bounds in a heap and computes
anew only what is on top, four rows at a time, a fused distance and sum that stays in the cache.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clcore.errors import ArgumentError
from clcore.geometry.points import Points
from clcore.maximiser import Picks, Stop
from clcore.quotas import Allowance

if TYPE_CHECKING:
    from clcore.objectives.kernel_coverage import KernelCoverage

FEW = 2048
"""Rows up to which the loop computes the first gains too, so that copies tie to the last bit."""


@dataclass(frozen=True)
class Rules:
    """Which rows may be picked, as arrays.

    Attributes:
        open: int64 `[m]`: rows that may be picked now.
        keys: int64 `[n]`: the number of each row's quota.
        room: int64 `[q]`: picks left in each quota.
    """

    open: NDArray[np.int64]
    keys: NDArray[np.int64]
    room: NDArray[np.int64]

    @classmethod
    def of(cls, allowance: Allowance) -> Rules:
        """Read an allowance."""
        rows = allowance.open.nonzero().squeeze(1).cpu().numpy()
        keys = np.zeros(len(allowance.penalty), dtype=np.int64)
        room = [len(keys)]
        if allowance.keys is not None:
            room = []
            for place, (members, capacity) in enumerate(allowance.parts()):
                keys[members.cpu().numpy()] = place
                room.append(capacity)
        return cls(rows, keys, np.array(room, dtype=np.int64))


def has_plain_points(objective: KernelCoverage) -> bool:
    """Say whether the distances are those of rows of numbers; a subclass has its own."""
    return type(objective.points) is Points


def plain_points(objective: KernelCoverage) -> Points:
    """Return the distances of an objective, where they are those of rows of numbers.

    Raises:
        ArgumentError: If they are not.
    """
    if not has_plain_points(objective):
        raise ArgumentError("this way of picking needs the features themselves, not factors")
    return cast(Points, objective.points)


def exact_coverage(
    objective: KernelCoverage, k: int, *, allowance: Allowance, stop: Stop | None = None
) -> Picks:
    """Maximise kernel coverage by lazy greedy, exactly.

    Args:
        objective: On the CPU, with `Points`; its set is built upon and then holds the picks.
        k: The most picks.
        allowance: Which rows may be picked; read, and not changed.
        stop: When to stop sooner.

    Returns:
        The picks and their gains. Ties go to the lowest row.
    """
    from clcore.geometry import coverage_loops as loops

    stop = stop or Stop()
    target = stop.target(objective)
    target = target - objective.value() if target < math.inf else target
    rules = Rules.of(allowance)
    n, lanes = len(objective), loops.LANES
    columns = plain_points(objective).columns
    count = -(-n // lanes)
    axes = -(-len(columns) // loops.TOGETHER) * loops.TOGETHER
    padded = columns.new_zeros(axes, count * lanes)
    padded[: len(columns), :n] = columns
    blocks = padded.reshape(axes, count, lanes).transpose(0, 1).contiguous().numpy()

    def laid_out(values: Tensor, beyond: float) -> NDArray[Any]:
        column = values.new_full((count * lanes,), beyond)
        column[:n] = values
        return column.reshape(count, lanes).numpy()

    squares = objective.points.squares
    lowered = squares * (1 - 8 * torch.finfo(squares.dtype).eps)
    weights = torch.ones_like(squares) if objective.row_weights is None else objective.row_weights
    if n <= FEW:
        bounds, stamp = np.full(n, np.inf), np.full(n, -1, dtype=np.int64)
    else:
        bounds, stamp = objective.gains(torch.arange(n)).numpy(), np.zeros(n, dtype=np.int64)
    nearest, level = laid_out(objective.nearest, -1.0), laid_out(objective.level, math.inf)
    picks, gains = np.empty(k, dtype=np.int64), np.empty(k)
    made, asked = loops.climb(
        blocks,
        laid_out(lowered, 0.0),
        nearest,
        level,
        laid_out(weights, 0.0),
        objective.kernel.numbers,
        rules.open,
        bounds,
        stamp,
        rules.keys,
        rules.room,
        -math.inf if stop.gain is None else stop.gain,
        target,
        picks,
        gains,
    )
    objective.nearest = torch.from_numpy(nearest.ravel()[:n].copy())
    objective.level = torch.from_numpy(level.ravel()[:n].copy())
    objective.evaluations += (asked + made) * n
    return Picks(picks[:made].tolist(), gains[:made].tolist())
