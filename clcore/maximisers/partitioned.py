"""Partitioned greedy in two rounds: pick within random parts, then among what the parts picked.

Source: Mirzasoleiman, Karbasi, Sarkar & Krause, "Distributed submodular maximization", NIPS 2013
(GreeDi); with random parts Barbosa, Ene, Nguyen & Ward, "The power of randomization", ICML 2015
(RandGreeDi): for a monotone submodular function and greedy in both rounds at least ½ (1 − 1/e) of
the best value, in expectation.

Formula: deal the rows into parts at random; pick k rows in each; pick k among the union of these.
The answer is the better of the merged picks and the best part's, by the value on the whole pool.

The guarantee is for `local=False`, where each part's candidates are judged by how they cover the
whole pool. With `local=True` each part covers only itself, so that the first round takes 1 / parts
of the time and memory; each part is a sample of the pool, so its values are near the whole pool's
where k is small beside it (GreeDi, section on decomposable functions), but the bound is not given.

Defaults: √(n / k) parts, for which both rounds take about the same; `local=True`; lazy in both
rounds. Even where the inner maximiser's picks are prefixes these are not: the parts' picks for k
decide who is in the union. With a `Stop` the merged picks alone are the answer, as only they can be
stopped on the whole pool's value.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from clcore.checks import whole_number
from clcore.errors import ArgumentError
from clcore.maximiser import Maximiser, Picks, Stop
from clcore.objective import Objective
from clcore.quotas import Allowance
from clcore.randomness import permutation


@dataclass(frozen=True)
class Partitioned(Maximiser):
    """Pick in parts, then among their picks.

    Args:
        parts: How many parts; None for √(n / k).
        inner: A registered name or a maximiser, for both rounds.
        local: Whether each part covers itself alone in the first round.
    """

    parts: int | None = None
    inner: str | Maximiser = "lazy"
    local: bool = True

    prefix: ClassVar[bool] = False
    randomised: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.parts is not None:
            whole_number("parts", self.parts, least=1)
        if not isinstance(self._inner(), Maximiser):
            raise ArgumentError(f"inner must be a name or a Maximiser, not {self.inner!r}")
        if self._inner().stops_early:
            raise ArgumentError(
                f"inner must make as many picks as asked for, and {self._inner().name} may stop "
                "before that"
            )

    def _inner(self) -> Maximiser:
        from clcore import maximisers

        inner = self.inner
        return maximisers.create(inner) if isinstance(inner, str) else inner

    def _maximise(
        self,
        objective: Objective,
        k: int,
        allowance: Allowance,
        generator: torch.Generator,
        stop: Stop,
    ) -> Picks:
        rows = permutation(len(objective), generator, objective.device)
        rows = rows[allowance.open[rows]]
        count = self.parts or max(1, round(math.sqrt(len(rows) / k)))
        round_one = self._local if self.local else self._restricted
        # Rows in ascending order, so that ties go to the lowest one within a part too.
        parts = [part.sort().values for part in torch.tensor_split(rows, count)]
        chosen = [
            round_one(objective, part, k, allowance, generator) for part in parts if len(part)
        ]
        merged_function = objective.fork()
        merged = self._inner().maximise(
            merged_function,
            k,
            allowance=_only(allowance, torch.cat(chosen)),
            generator=generator,
            stop=stop,
        )
        objective.evaluations += merged_function.evaluations
        best = merged if stop.active else self._better(objective, merged, merged_function, chosen)
        if len(best):
            objective.add(torch.tensor(best.rows, device=objective.device))
        for row in best.rows:
            allowance.take(row)
        return best

    def _local(
        self,
        objective: Objective,
        part: Tensor,
        k: int,
        allowance: Allowance,
        generator: torch.Generator,
    ) -> Tensor:
        """Pick in a part by how it covers itself and what was given."""
        rows = torch.cat([part, objective.given])
        function = objective.part(rows)
        function.start(torch.arange(len(part), len(rows), device=rows.device))
        own = copy.deepcopy(allowance)
        own.penalty = allowance.penalty[rows].clone()
        own.keys = None if allowance.keys is None else allowance.keys[rows]
        picks = self._inner().maximise(function, k, allowance=own, generator=generator)
        objective.evaluations += function.evaluations
        return rows[torch.tensor(picks.rows, dtype=torch.int64, device=rows.device)]

    def _restricted(
        self,
        objective: Objective,
        part: Tensor,
        k: int,
        allowance: Allowance,
        generator: torch.Generator,
    ) -> Tensor:
        """Pick in a part by how it covers the whole pool."""
        function = objective.fork()
        picks = self._inner().maximise(
            function, k, allowance=_only(allowance, part), generator=generator
        )
        objective.evaluations += function.evaluations
        return torch.tensor(picks.rows, dtype=torch.int64, device=objective.device)

    def _better(
        self, objective: Objective, merged: Picks, merged_function: Objective, chosen: list[Tensor]
    ) -> Picks:
        """Return the merged picks or those of a part, whichever have more value."""
        value, best = merged_function.value(), None
        for rows in chosen:
            function = objective.fork()
            function.add(rows)
            objective.evaluations += function.evaluations
            if len(rows) == len(merged) and function.value() > value:
                value, best = function.value(), rows
        if best is None:
            return merged
        function, picks = objective.fork(), Picks()
        for row in best.unsqueeze(1):
            picks.append(int(row), float(function.gains(row)))
            function.add(row)
        objective.evaluations += function.evaluations
        return picks


def _only(allowance: Allowance, rows: Tensor) -> Allowance:
    """Return a copy of an allowance in which only some rows are open."""
    own = copy.deepcopy(allowance)
    own.penalty = torch.full_like(allowance.penalty, -torch.inf)
    own.penalty[rows] = allowance.penalty[rows]
    return own
