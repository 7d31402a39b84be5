"""Stochastic greedy: each step looks at a random sample of the rows only.

Source: Mirzasoleiman, Badanidiyuru, Karbasi, Vondrák & Krause, "Lazier than lazy greedy", AAAI
2015: for a monotone submodular function at least 1 − 1/e − ε of the best value, in expectation.

Formula: in each step draw s = (n / k) ln(1/ε) of the open rows and take the one of largest gain; of
equal ones the lowest. The draws are with replacement, which the proof allows for; at most
n ln(1/ε) gains in all, whatever k. Under quotas the guarantee does not hold as it stands.

Defaults: ε = 0.1, as in the paper's experiments; `lazy` also keeps stale gains as bounds and asks a
drawn row again only where its bound may win: the same picks with fewer evaluations (only where the
function is submodular).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from clcore.errors import ArgumentError
from clcore.geometry import step_loop
from clcore.maximiser import Maximiser, Picks, Stop
from clcore.maximisers._queue import gains_of
from clcore.objective import Objective
from clcore.quotas import Allowance


@dataclass(frozen=True)
class Stochastic(Maximiser):
    """Take the best row of a fresh random sample, k times.

    Args:
        epsilon: What may be lost of the value, in expectation; above 0 and below 1.
        lazy: Skip drawn rows whose last gain is too small to win.
    """

    epsilon: float = 0.1
    lazy: bool = True

    # The size of the samples depends on k.
    prefix: ClassVar[bool] = False
    randomised: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.epsilon < 1:
            raise ArgumentError(f"epsilon must be above 0 and below 1, not {self.epsilon!r}")

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
        bounds = np.full(len(objective), np.inf)
        rows = _open_rows(allowance)
        size = math.ceil(len(rows) / k * math.log(1 / self.epsilon))
        with step_loop(size * objective.step):
            while len(picks) < k and not (target < math.inf and objective.value() >= target):
                drawn = torch.randint(
                    len(rows), (size,), generator=generator, device=generator.device
                )
                # All of them where a sample would be no smaller.
                places = np.unique(drawn.cpu().numpy()) if size < len(rows) else slice(None)
                row, gain = self._best(objective, np.sort(rows[places]), bounds)
                if stop.before(gain):
                    break
                objective.add(torch.tensor([row], device=objective.device))
                picks.append(row, gain)
                if allowance.take(row):
                    rows = _open_rows(allowance)
                else:
                    place = int(np.flatnonzero(rows == row)[0])
                    rows[place] = rows[-1]
                    rows = rows[:-1]
        return picks

    def _best(
        self, objective: Objective, rows: NDArray[np.int64], bounds: NDArray[np.float64]
    ) -> tuple[int, float]:
        """Return the best of some rows, ascending; the bounds of those asked are renewed."""
        if not (self.lazy and objective.submodular):
            gains = gains_of(objective, rows)
            place = int(gains.argmax())
            return int(rows[place]), float(gains[place])
        new = np.isinf(bounds[rows])
        asked = new.copy()
        bounds[rows[new]] = gains_of(objective, rows[new])
        batch = 16
        while True:
            best = bounds[rows[asked]].max(initial=-np.inf)
            rivals = np.flatnonzero(~asked & (bounds[rows] >= best))
            if len(rivals) == 0:
                break
            rivals = rivals[np.argsort(-bounds[rows[rivals]], kind="stable")[:batch]]
            bounds[rows[rivals]] = gains_of(objective, rows[rivals])
            asked[rivals] = True
            batch *= 2
        fresh = rows[asked]
        row = int(fresh[bounds[fresh].argmax()])
        return row, float(bounds[row])


def _open_rows(allowance: Allowance) -> NDArray[np.int64]:
    rows: NDArray[np.int64] = allowance.open.nonzero().squeeze(1).cpu().numpy()
    return rows
