"""Lazy greedy: gains only fall, so a stale gain is a bound, and most rows are never asked again.

Source: Minoux, "Accelerated greedy algorithms for maximizing submodular set functions", 1978. The
picks are those of plain greedy; only the order of evaluation differs.

Formula: keep for each row the last gain computed. Re-evaluate the rows with the largest bounds, a
batch at a time; once the best fresh gain is not below any bound that is left, it is the largest of
all. Ties go to the lowest row, as in plain greedy: a row with an equal bound and a lower number is
re-evaluated before the pick.

Defaults: batches of 16, which a matrix product evaluates in little more time than one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from clcore.checks import whole_number
from clcore.maximiser import Maximiser, Picks, Stop
from clcore.objective import Objective
from clcore.quotas import Allowance


@dataclass(frozen=True)
class Lazy(Maximiser):
    """Take the row of largest gain, k times, re-evaluating only rows that may have it.

    Args:
        batch: How many rows are re-evaluated at once.
    """

    batch: int = 16

    needs_submodular: ClassVar[bool] = True

    def __post_init__(self) -> None:
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
        bounds = objective.gains(torch.arange(len(objective), device=objective.device)).clone()
        bounds += allowance.penalty.to(bounds.dtype)
        fresh_at = torch.zeros(len(objective), dtype=torch.int64, device=objective.device)
        for step in range(k):
            row, gain = self._best(objective, bounds, fresh_at, step)
            if stop.before(gain):
                break
            objective.add(torch.tensor([row], device=objective.device))
            bounds[row] = -torch.inf
            if allowance.take(row):
                bounds += allowance.penalty.to(bounds.dtype)
            picks.append(row, gain)
            if target < torch.inf and objective.value() >= target:
                break
        return picks

    def _best(
        self, objective: Objective, bounds: Tensor, fresh_at: Tensor, step: int
    ) -> tuple[int, float]:
        """Return the row of largest gain now; the bounds that were looked at become fresh."""
        while True:
            row = int(bounds.argmax())  # the lowest of those that are equal
            if int(fresh_at[row]) == step:
                return row, float(bounds[row])
            top = torch.topk(bounds, min(self.batch, len(bounds))).indices
            stale = top[(fresh_at[top] < step) & (bounds[top] > -torch.inf)]
            if not bool((stale == row).any()):
                stale = torch.cat([stale, torch.tensor([row], device=stale.device)])
            # Rounding may let a fresh gain come out above its bound; it is what counts.
            bounds[stale] = objective.gains(stale).to(bounds.dtype)
            fresh_at[stale] = step
