"""Plain greedy: every step asks for the gains of all rows and takes the best.

Source: Nemhauser, Wolsey & Fisher, "An analysis of approximations for maximizing submodular set
functions", 1978: for a monotone submodular function the value is at least 1 − 1/e of the best
set's.

Formula: S ← S ∪ {argmax_x f(S ∪ {x}) − f(S)}; ties go to the lowest row. k·n gains.

Where there is nothing to watch (no `Stop`, no quotas) the loop never reads a number back from the
device, so on a GPU picks follow each other without a round trip.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from clcore.maximiser import Maximiser, Picks, Stop
from clcore.objective import Objective
from clcore.quotas import Allowance


@dataclass(frozen=True)
class Plain(Maximiser):
    """Take the row of largest gain, k times."""

    def _maximise(
        self,
        objective: Objective,
        k: int,
        allowance: Allowance,
        generator: torch.Generator,
        stop: Stop,
    ) -> Picks:
        every = torch.arange(len(objective), device=objective.device)
        target = stop.target(objective)
        watched = stop.active or allowance.keys is not None
        rows, values = [], []
        for _ in range(k):
            gains = objective.gains(every)
            row = (gains + allowance.penalty.to(gains.dtype)).argmax().reshape(1)
            gain = gains[row]
            if stop.gain is not None and stop.before(float(gain)):
                break
            objective.add(row)
            if watched:
                allowance.take(int(row))
            else:
                allowance.penalty.index_fill_(0, row, -torch.inf)
            rows.append(row)
            values.append(gain)
            if target < torch.inf and objective.value() >= target:
                break
        if not rows:
            return Picks()
        return Picks(torch.cat(rows).tolist(), torch.cat(values).tolist())
