"""Threshold greedy: take every row that beats a threshold, then lower the threshold.

Source: Badanidiyuru & Vondrák, "Fast algorithms for maximizing submodular functions", SODA 2014,
algorithm 1: for a monotone submodular function at least 1 − 1/e − ε of the best value, with
(n / ε) ln(n / ε) gains at most, whatever k.

Formula: with d the largest gain of a single row, for w = d, (1 − ε) d, (1 − ε)² d, … down to
(ε / n) d, go through the rows and take each whose gain is at least w. Rows are gone through in the
order of their last gains, the largest first, and those whose last gain is below w are not asked at
all: gains only fall. What is still missing when the last threshold has been passed is added
lazily, the largest gain first.

Defaults: ε = 0.1. The first j of k picks are the picks for j.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from clcore.checks import whole_number
from clcore.errors import ArgumentError
from clcore.geometry import step_loop
from clcore.maximiser import Maximiser, Picks, Stop
from clcore.maximisers._queue import Queue, batch_for
from clcore.objective import Objective
from clcore.quotas import Allowance


@dataclass(frozen=True)
class Threshold(Maximiser):
    """Take rows above a threshold that falls by a factor.

    Args:
        epsilon: By which share the threshold falls, and what may be lost of the value; above 0
            and below 1.
        batch: How many rows are asked at once; None for 16, or more where a gain is cheap.
    """

    epsilon: float = 0.1
    batch: int | None = None

    needs_submodular: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.epsilon < 1:
            raise ArgumentError(f"epsilon must be above 0 and below 1, not {self.epsilon!r}")
        if self.batch is not None:
            whole_number("batch", self.batch, least=1)

    def _maximise(
        self,
        objective: Objective,
        k: int,
        allowance: Allowance,
        generator: torch.Generator,
        stop: Stop,
    ) -> Picks:
        picks = Picks()
        target = stop.target(objective)
        queue = Queue(objective, allowance, self.batch)
        largest = float(queue.bounds.max())
        lowest = self.epsilon / len(objective) * largest
        least = max(0.0, lowest, -math.inf if stop.gain is None else stop.gain)
        with step_loop(batch_for(objective) * objective.step):
            while len(picks) < k and (most := float(queue.bounds.max())) > least:
                # Levels that no bound reaches are passed over at once.
                falls = math.ceil(math.log(most / largest) / math.log1p(-self.epsilon) - 1e-9)
                level = max(lowest, min(most, largest * (1 - self.epsilon) ** falls))
                if not self._sweep(queue, picks, level, k, stop, target):
                    return picks
            queue.rebuild()
            queue.climb(picks, k, stop, target)
        return picks

    def _sweep(
        self, queue: Queue, picks: Picks, level: float, k: int, stop: Stop, target: float
    ) -> bool:
        """Take every row whose gain is at least `level`; say whether to go on."""
        waiting = np.flatnonzero(queue.bounds >= level)
        waiting = waiting[np.argsort(-queue.bounds[waiting], kind="stable")]
        while len(waiting):
            batch, waiting = waiting[: queue.batch], waiting[queue.batch :]
            while len(batch):
                gains = queue.ask(batch)
                passing = [
                    place
                    for place in np.flatnonzero(gains >= level).tolist()
                    if not stop.before(float(gains[place]))
                ]
                if not passing:
                    break
                if len(picks) == k or (target < math.inf and queue.objective.value() >= target):
                    return False
                row, gain = int(batch[passing[0]]), float(gains[passing[0]])
                queue.take(row)
                picks.append(row, gain)
                batch = batch[passing[1:]]
                batch = batch[queue.bounds[batch] > -np.inf]  # a quota may be used up
            waiting = waiting[queue.bounds[waiting] >= level]
        return True
