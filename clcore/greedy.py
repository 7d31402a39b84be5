"""Selectors made of a set function and a maximiser."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from clcore.coreset import Coreset
from clcore.errors import ArgumentError
from clcore.maximiser import Maximiser, Picks, Stop
from clcore.objective import Objective
from clcore.pool import Pool
from clcore.quotas import Allowance
from clcore.selector import Selector


@dataclass(frozen=True)
class GreedySelector(Selector):
    """Base of the selectors that maximise a set function; write `objective`.

    Args:
        maximiser: A registered name (`"lazy"`, `"plain"`, `"stochastic"`, …) or a maximiser.
        stop: When to stop before `k` picks: at a coverage, a value or a gain.
    """

    maximiser: str | Maximiser = "lazy"
    stop: Stop | None = None

    greedy: ClassVar[bool] = True

    def __post_init__(self) -> None:
        from clcore import maximisers

        chosen = self.maximiser
        if isinstance(chosen, str):
            chosen = maximisers.create(chosen)
        elif not isinstance(chosen, Maximiser):
            raise ArgumentError(f"maximiser must be a name or a Maximiser, not {chosen!r}")
        if self.stop is not None and not isinstance(self.stop, Stop):
            raise ArgumentError(f"stop must be a clcore.Stop, not {self.stop!r}")
        # What the base class promises depends on the maximiser: say so on the instance.
        traits = {
            "_maximiser": chosen,
            "greedy": type(self).greedy and chosen.prefix,
            "randomised": type(self).randomised or chosen.randomised,
            "stops_early": self.stop is not None or chosen.stops_early,
        }
        for name, value in traits.items():
            object.__setattr__(self, name, value)

    @abc.abstractmethod
    def objective(self, pool: Pool) -> Objective:
        """Make the set function for a pool."""

    def _select(
        self,
        pool: Pool,
        k: int,
        *,
        given: Tensor,
        allowance: Allowance,
        generator: torch.Generator,
    ) -> Coreset:
        objective = self.objective(pool)
        objective.start(given)
        picks = self._pick(objective, k, allowance, generator)
        rows = torch.tensor(picks.rows, dtype=torch.int64, device=pool.device)
        return Coreset.of(
            rows,
            weights=objective.weights(rows) if self.weighted else None,
            gains=picks.gains,
            distance_evaluations=objective.evaluations,
        )

    def _pick(
        self, objective: Objective, k: int, allowance: Allowance, generator: torch.Generator
    ) -> Picks:
        """Run the maximiser; the place for a method that makes its first picks otherwise."""
        maximiser: Maximiser = self._maximiser  # type: ignore[attr-defined]
        return maximiser.maximise(
            objective, k, allowance=allowance, generator=generator, stop=self.stop
        )
