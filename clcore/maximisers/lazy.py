"""Lazy greedy: gains only fall, so a stale gain is a bound, and most rows are never asked again.

Source: Minoux, "Accelerated greedy algorithms for maximizing submodular set functions", 1978. The
picks are those of plain greedy, and so is the guarantee: for a monotone submodular function at
least 1 − 1/e of the best value. Only the order of evaluation differs.

Formula: keep for each row the last gain computed. Ask the rows with the largest bounds again, a
batch at a time; once the best fresh gain is not below any bound that is left, it is the largest of
all. Ties go to the lowest row, as in plain greedy: a row with an equal bound and a lower number is
asked again before the pick.

Defaults: batches of 16, which a matrix product evaluates in little more time than one, or as many
as take 2^17 multiplications; a step that needs more than one batch doubles it each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from clcore.checks import whole_number
from clcore.geometry import step_loop
from clcore.maximiser import Maximiser, Picks, Stop
from clcore.maximisers._queue import Queue, batch_for
from clcore.objective import Objective
from clcore.quotas import Allowance


@dataclass(frozen=True)
class Lazy(Maximiser):
    """Take the row of largest gain, k times, asking again only rows that may have it.

    Args:
        batch: How many rows are asked at once; None for 16, or more where a gain is cheap.
    """

    batch: int | None = None

    needs_submodular: ClassVar[bool] = True

    def __post_init__(self) -> None:
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
        with step_loop(batch_for(objective) * objective.step):
            queue.climb(picks, k, stop, target)
        return picks
