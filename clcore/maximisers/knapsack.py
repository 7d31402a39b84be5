"""Greedy under a budget: rows have costs, and what is picked may not cost more in all.

Source: Leskovec, Krause, Guestrin, Faloutsos, VanBriesen & Glance, "Cost-effective outbreak
detection in networks" (CELF), KDD 2007: for a monotone submodular function the better of the two
greedy runs has at least ½ (1 − 1/e) of the best value that the budget allows. The guarantee is for
the budget alone: a `k` or quotas that bind as well take it away.

Formula: run greedy by gain per cost, and greedy by gain; each step passes over what no longer fits.
Keep the run of larger value. Both are lazy where the function is submodular.

Defaults: costs are the pool's signal `costs`. The picks are feasible always; `k` still bounds their
number.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from clcore.checks import whole_number
from clcore.errors import ArgumentError, SignalError
from clcore.geometry import step_loop
from clcore.maximiser import Maximiser, Picks, Stop
from clcore.maximisers._queue import Queue, batch_for, gains_of
from clcore.objective import Objective
from clcore.quotas import Allowance


@dataclass(frozen=True)
class Knapsack(Maximiser):
    """Pick within a budget: the better of greedy by gain per cost and greedy by gain.

    Args:
        budget: The most that the picks may cost together; above 0, in the units of the costs.
        costs: The signal of the pool that holds a positive cost for each row.
        batch: How many rows are asked at once; None for 16, or more where a gain is cheap.
    """

    budget: float | None = None
    costs: str = "costs"
    batch: int | None = None

    prefix: ClassVar[bool] = False
    stops_early: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.budget is None:
            raise ArgumentError("knapsack needs a budget: Knapsack(budget=…)")
        if not (math.isfinite(self.budget) and self.budget > 0):
            raise ArgumentError(f"budget must be a finite number above 0, not {self.budget!r}")
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
        stop.target(objective)
        costs = self._costs(objective)
        first = np.full(len(objective), -np.inf)
        fits = np.flatnonzero(allowance.open.cpu().numpy() & (costs <= float(self.budget or 0)))
        first[fits] = gains_of(objective, fits)
        runs = []
        with step_loop(batch_for(objective) * objective.step):
            for divisor in (costs, None):
                own = objective.fork()
                queue = Queue(own, copy.deepcopy(allowance), self.batch, divisor, first)
                runs.append((self._run(queue, k, costs, stop), own.value()))
                objective.evaluations += own.evaluations
        (by_ratio, value), (by_gain, other) = runs
        picks = by_ratio if value >= other else by_gain
        if len(picks):
            objective.add(torch.tensor(picks.rows, device=objective.device))
        for row in picks.rows:
            allowance.take(row)
        return picks

    def _run(self, queue: Queue, k: int, costs: NDArray[np.float64], stop: Stop) -> Picks:
        picks = Picks()
        target = stop.target(queue.objective)
        left = float(self.budget or 0)
        while len(picks) < k and not (target < math.inf and queue.objective.value() >= target):
            queue.close(costs > left)
            best = queue.best()
            if best is None:
                break
            row, gain = best
            gain *= 1 if queue.costs is None else float(costs[row])
            if stop.before(gain):
                break
            queue.take(row)
            left -= float(costs[row])
            picks.append(row, gain)
        return picks

    def _costs(self, objective: Objective) -> NDArray[np.float64]:
        pool = objective.pool
        if not pool.has(self.costs):
            raise SignalError(
                f"knapsack needs the signal {self.costs!r}, one positive cost a row; "
                f"this pool has {', '.join(pool.names) or 'none'}"
            )
        costs = pool.signal(self.costs)
        if costs.ndim != 1:
            raise SignalError(
                f"signal {self.costs!r} must have one cost a row, not shape {tuple(costs.shape)}"
            )
        values: NDArray[np.float64] = costs.cpu().numpy().astype(np.float64)
        if len(values) and values.min() <= 0:
            row = int(values.argmin())
            raise SignalError(
                f"signal {self.costs!r} must be above 0: row {row} holds {values[row]}"
            )
        return values
