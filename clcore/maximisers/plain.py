"""Plain greedy: every step asks for the gains of all rows and takes the best.

Source: Nemhauser, Wolsey & Fisher, "An analysis of approximations for maximizing submodular set
functions", 1978: for a monotone submodular function the value is at least 1 − 1/e of the best
set's. Under quotas (a partition matroid) at least half of it: Fisher, Nemhauser & Wolsey, part II
of the same work, 1978.

Formula: S ← S ∪ {argmax_x f(S ∪ {x}) − f(S)}; ties go to the lowest row. k·n gains. Works for any
function, with no guarantee where it is not submodular.

Where there is nothing to watch (no `Stop`, no quotas) the loop never reads a number back from the
device, so on a GPU picks follow each other without a round trip.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from clcore.errors import ArgumentError
from clcore.geometry import step_loop
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
        candidates = allowance.open.nonzero().squeeze(1)
        target = stop.target(objective)
        watched = stop.active or allowance.keys is not None
        rows, values = [], []
        with step_loop(len(candidates) * objective.step):
            for _ in range(k):
                if target < torch.inf and objective.value() >= target:
                    break
                gains = objective.gains(candidates)
                # No gain of an open row may fall to the minus infinity of a closed one.
                gains = gains.clamp_min(torch.finfo(gains.dtype).min)
                penalty = allowance.penalty[candidates].to(gains.dtype)
                place = (gains + penalty).argmax().reshape(1)
                row, gain = candidates[place], gains[place]
                if stop.gain is not None and stop.before(float(gain)):
                    break
                objective.add(row)
                if watched:
                    allowance.take(int(row))
                else:
                    allowance.penalty.index_fill_(0, row, -torch.inf)
                rows.append(row)
                values.append(gain)
        if not rows:
            return Picks()
        gains = torch.cat(values)
        if bool(gains.isnan().any()):
            raise ArgumentError(f"a gain of {objective.name} is NaN")
        return Picks(torch.cat(rows).tolist(), gains.tolist())
