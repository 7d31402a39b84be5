"""Greedy coverage over a nearest-neighbour graph, with exact distances in between.

What a row would add is counted over the rows that have it among their K nearest, so a gain costs
about K additions whatever the size of the pool, and the cost of the picks doesn't grow with their
number. What a graph alone is blind to, rows of which no neighbour was picked, is seen to as
follows. Each time the picks have grown by half, the distances of all rows to the new picks are
computed, exactly and in blocks, and the greedy goes on from there. In the end the distances of all
rows to all picks were computed once, which the weights of the cells need anyway; gains are those
of the whole pool, not the graph's.

A pick in a region that is dense covers more listed rows than one that is central to many: over few
picks that is worse than the exact greedy, and over many it is usually better, because early picks
are not spent on the middle of everything. So where the picks have too few neighbours in all, they
are made among a sample of the rows instead, which is then small enough for them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clcore.geometry.coverage import Rules, exact_coverage, plain_points
from clcore.geometry.neighbours import Index, coverers
from clcore.maximiser import Picks, Stop
from clcore.quotas import Allowance

if TYPE_CHECKING:
    from clcore.objectives.kernel_coverage import KernelCoverage

NEIGHBOURS = 50
"""Neighbours of a row unless told otherwise."""

GROWTH = 1.5
"""By how much the picks grow between two exact rounds."""

FIRST_ROUND = 8
"""Picks before the first exact round."""

LISTED = 1 / 8
"""Entries of the picks, as a share of the rows, below which a sample serves better (measured)."""

SAMPLE = 8192
"""The least size of such a sample; it is searched exactly."""

ROWS_TOGETHER, PICKS_TOGETHER = 1024, 256
"""Distances computed together: a block of 1 MiB in float32."""


@dataclass
class Cover:
    """Picks and what became of the rows.

    Attributes:
        picks: The picks with their exact gains.
        place: int64 `[n]`: the place among the picks of each row's nearest; None where it wasn't
            found on the way.
        report: `graph_value`: what the picks add as far as the graph alone knows, where exactly
            it is the sum of the gains; `blind`: the share of the rows' weight none of whose listed
            neighbours was picked. Empty where no graph was used.
    """

    picks: Picks
    place: Tensor | None = None
    report: dict[str, float] = field(default_factory=dict)


def graph_coverage(
    objective: KernelCoverage,
    k: int,
    *,
    allowance: Allowance,
    stop: Stop | None = None,
    neighbours: int = NEIGHBOURS,
    index: Index = "auto",
) -> Cover:
    """Maximise kernel coverage over a neighbour graph.

    Args:
        objective: On the CPU, with `Points`; its set is built upon and then holds the picks.
        k: The most picks.
        allowance: Which rows may be picked; read, and not changed.
        stop: When to stop sooner; looked at with exact gains.
        neighbours: K: how many nearest rows each row lists, itself included.
        index: See `nearest_neighbours`.

    Returns:
        The picks; the first of them are the picks for a smaller `k`, except where a smaller `k` is
        so small that a sample serves it.
    """
    settled = _Settled(objective, k, stop or Stop())
    sample = _sample(objective, k, allowance, neighbours)
    if sample is not None:
        settled.add(_picks_of_sample(objective, sample, k, allowance, neighbours, index))
        return settled.cover()
    return _over_graph(settled, k, Rules.of(allowance), neighbours, index)


def _over_graph(settled: _Settled, k: int, rules: Rules, neighbours: int, index: Index) -> Cover:
    """Pick over the graph in rounds, each of which ends with exact distances."""
    from clcore.geometry import graph_loops as loops

    objective, weights = settled.objective, settled.weights
    matrix = plain_points(objective).columns.t()
    graph = coverers(matrix, neighbours, index=index)
    objective.evaluations += graph.evaluations
    similar = np.empty_like(graph.squared)
    loops.worth(graph.squared, settled.kernel, similar)
    bounds = np.empty(len(objective))
    picks, gains = np.empty(k, dtype=np.int64), np.empty(k)
    is_open = np.zeros(len(objective), dtype=np.bool_)
    is_open[rules.open] = True
    before, made = settled.level.copy(), 0
    while made < k and not settled.reached:
        until = min(k, max(FIRST_ROUND, int(made * GROWTH)))
        rows = np.flatnonzero(is_open)
        level = settled.level.copy()
        loops.graph_gains(rows, graph.starts, graph.rows, similar, level, weights, bounds)
        more = loops.graph_climb(
            graph.starts,
            graph.rows,
            similar,
            level,
            weights,
            rows,
            bounds,
            rules.keys,
            rules.room,
            -math.inf,
            math.inf,
            picks[made:until],
            gains[made:until],
        )
        is_open[picks[made : made + more]] = False
        settled.add(torch.from_numpy(picks[made : made + more]))
        made += more
        if made < until:
            break
    cover = settled.cover()
    level = before.copy()
    rows = np.array(cover.picks.rows, dtype=np.int64)
    loops.listed_level(rows, graph.starts, graph.rows, similar, level)
    blind = (level == before) & (before == objective.kernel.floor)
    cover.report["graph_value"] = float(((level - before) * weights).sum(dtype=np.float64))
    cover.report["blind"] = float(weights[blind].sum() / weights.sum())
    return cover


class _Settled:
    """Picks whose distances to all rows are computed, a round of them at a time."""

    def __init__(self, objective: KernelCoverage, k: int, stop: Stop) -> None:
        self.objective, self.stop = objective, stop
        squares = objective.points.squares
        self.kernel = objective.kernel.numbers
        equal = torch.ones_like(squares)
        weights = equal if objective.row_weights is None else objective.row_weights
        self.weights: NDArray[Any] = weights.numpy()
        self.nearest: NDArray[Any] = objective.nearest.numpy().copy()
        self.level: NDArray[Any] = objective.level.numpy().copy()
        self.place = np.full(len(objective), -1, dtype=np.int64)
        self.gains = np.zeros(k)
        self.picks = np.empty(0, dtype=np.int64)
        self.before = objective.value()
        self.target = stop.target(objective) if stop.active else math.inf

    def add(self, rows: Tensor) -> None:
        """Compute the distances of all rows to some new picks, and what these add."""
        from clcore.geometry.graph_loops import settle

        points = plain_points(self.objective)
        columns, squares = points.columns, points.squares
        lowered = squares * (1 - 8 * torch.finfo(squares.dtype).eps)
        own = lowered.numpy()
        partial = squares.new_empty(ROWS_TOGETHER * PICKS_TOGETHER)
        for first in range(0, len(rows), PICKS_TOGETHER):
            part = rows[first : first + PICKS_TOGETHER]
            picked, lengths = columns[:, part], lowered[part]
            for start in range(0, len(squares), ROWS_TOGETHER):
                here = slice(start, min(start + ROWS_TOGETHER, len(squares)))
                size = here.stop - start
                block = partial[: size * len(part)].view(size, len(part))
                torch.addmm(lengths, columns[:, here].t(), picked, alpha=-2.0, out=block)
                settle(
                    block.numpy(),
                    own[here],
                    len(self.picks) + first,
                    self.nearest[here],
                    self.level[here],
                    self.place[here],
                    self.weights[here],
                    self.kernel,
                    self.gains,
                )
        self.picks = np.concatenate([self.picks, rows.numpy()])
        self.objective.evaluations += len(rows) * len(squares)

    @property
    def reached(self) -> bool:
        """Whether there is reason to stop."""
        return self._kept() < len(self.picks)

    def _kept(self) -> int:
        """Return how many of the picks are made before there is reason to stop."""
        count = len(self.picks)
        if not self.stop.active:
            return count
        gains = self.gains[:count]
        few = np.flatnonzero([self.stop.before(gain) for gain in gains])
        enough = np.flatnonzero(self.before + gains.cumsum() >= self.target)
        # The pick that reaches the value is kept, the one that gains too little isn't.
        ends: list[int] = [count, *few[:1].tolist(), *(enough[:1] + 1).tolist()]
        return min(ends)

    def cover(self) -> Cover:
        """Return the picks and put them into the objective."""
        kept, objective = self._kept(), self.objective
        rows = torch.from_numpy(self.picks[:kept])
        picks = Picks(rows.tolist(), self.gains[:kept].tolist())
        place = torch.from_numpy(self.place)
        whole = kept == len(self.picks)
        if whole:
            objective.nearest = torch.from_numpy(self.nearest)
            objective.level = torch.from_numpy(self.level)
        else:
            objective.add(rows)
        return Cover(picks, place if whole and not bool((place < 0).any()) else None)


def _sample(
    objective: KernelCoverage, k: int, allowance: Allowance, neighbours: int
) -> Tensor | None:
    """Draw the rows that serve a small `k`; None where the graph of all rows does."""
    n = len(objective)
    size = max(SAMPLE, 4 * neighbours * k)
    if allowance.keys is not None or k * neighbours >= n * LISTED or size >= n:
        return None
    # The same rows for the same size: that the method approximates is no reason to draw lots.
    sample = torch.randperm(n, generator=torch.Generator().manual_seed(0))[:size].sort().values
    return sample if int(allowance.open[sample].sum()) >= k else None


def _picks_of_sample(
    objective: KernelCoverage,
    sample: Tensor,
    k: int,
    allowance: Allowance,
    neighbours: int,
    index: Index,
) -> Tensor:
    """Pick among the rows of a sample so that the sample is covered."""
    part = objective.part(sample)
    part.nearest = objective.nearest[sample]
    part.level = part.levels(part.nearest)
    closed = (~allowance.open[sample]).nonzero().squeeze(1)
    inner = Allowance(len(sample), sample.device, given=closed)
    if len(sample) <= SAMPLE:
        rows = exact_coverage(part, k, allowance=inner).rows
    else:
        rows = graph_coverage(
            part, k, allowance=inner, neighbours=neighbours, index=index
        ).picks.rows
    objective.evaluations += part.evaluations
    return sample[torch.tensor(rows)]
