"""Greedy: any set function with any maximiser, both by name or ready made.

Source: Nemhauser, Wolsey & Fisher 1978; each set function and maximiser names its own.

Formula: S ← S ∪ {argmax_x f(S ∪ {x}) − f(S)}, in the order of evaluation of the maximiser.

Defaults: facility location, lazily. A class of your own goes in as `objective=MyFunction`: it is
called with the pool and the `options`.

Differences from reference codes: apricot and submodlib offer such pairs for their own functions
only; here quotas, rows taken before and stops work for all of them.

Expected numbers: those of the function and the maximiser.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from clcore import objectives
from clcore.errors import ArgumentError
from clcore.greedy import GreedySelector
from clcore.objective import Objective
from clcore.pool import Pool


@dataclass(frozen=True)
class Greedy(GreedySelector):
    """Maximise a set function.

    Args:
        maximiser: A registered name or a maximiser.
        stop: When to stop before `k` picks.
        set_function: A registered name (see `clcore.objectives.names()`) or a callable that makes
            an `Objective` from a pool and the options, such as a class of your own.
        options: Options of the set function.
    """

    set_function: str | Callable[..., Objective] = "facility-location"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.set_function, str):
            signals = objectives.get(self.set_function).signals
        elif callable(self.set_function):
            signals = getattr(self.set_function, "signals", ())
        else:
            raise ArgumentError(
                f"set_function must be a name or a callable, not {self.set_function!r}"
            )
        object.__setattr__(self, "signals", signals)

    def objective(self, pool: Pool) -> Objective:
        """Make the set function for a pool."""
        if isinstance(self.set_function, str):
            return objectives.create(self.set_function, pool=pool, **self.options)
        return self.set_function(pool, **self.options)
