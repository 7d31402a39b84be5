"""The base class of maximisers: in which order a set function is asked for gains."""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from clcore.errors import ArgumentError
from clcore.objective import Objective
from clcore.quotas import Allowance


@dataclass(frozen=True)
class Stop:
    """When to stop before the number of picks is reached.

    Args:
        coverage: Stop once the value is at least this share of the objective's `ceiling()`, to
            within a millionth of it, so that rounding can't keep a full coverage from being full.
        value: Stop once the value is at least this.
        gain: Stop before a pick whose gain is not above this.

    Raises:
        ArgumentError: If a share is not above 0 and at most 1, or a number isn't finite.
    """

    coverage: float | None = None
    value: float | None = None
    gain: float | None = None

    def __post_init__(self) -> None:
        if self.coverage is not None and not 0 < self.coverage <= 1:
            raise ArgumentError(f"coverage must be above 0 and at most 1, not {self.coverage!r}")
        for name in ("value", "gain"):
            number = getattr(self, name)
            if number is not None and not math.isfinite(number):
                raise ArgumentError(f"{name} must be a finite number, not {number!r}")

    @property
    def active(self) -> bool:
        """Whether anything is to be watched at all."""
        return not (self.coverage is None and self.value is None and self.gain is None)

    def before(self, gain: float) -> bool:
        """Say whether to stop rather than make a pick with this gain."""
        return self.gain is not None and not gain > self.gain

    def target(self, objective: Objective) -> float:
        """Return the value at which to stop, infinite where there is none.

        Raises:
            ArgumentError: If a coverage was asked for and the objective knows no ceiling.
        """
        value = math.inf if self.value is None else self.value
        if self.coverage is None:
            return value
        ceiling = objective.ceiling()
        if ceiling is None:
            raise ArgumentError(
                f"coverage cannot be watched: {objective.name} has no largest value; "
                "stop at a value or a gain"
            )
        return min(value, (self.coverage - 1e-6) * ceiling)


@dataclass
class Picks:
    """What a maximiser chose.

    Attributes:
        rows: The picks, in pick order.
        gains: What each added.
    """

    rows: list[int] = field(default_factory=list)
    gains: list[float] = field(default_factory=list)

    def append(self, row: int, gain: float) -> None:
        """Record a pick."""
        self.rows.append(row)
        self.gains.append(gain)

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Maximiser(abc.ABC):
    """A way to look for a set of high value; a frozen dataclass of options.

    Attributes:
        name: The registered name: the file's, with hyphens.
        prefix: Whether the first `j` of `k` picks are the answer for `j`.
        randomised: Whether the answer depends on the generator.
        needs_submodular: Whether the answer is only right for functions whose gains never rise.
        stops_early: Whether it may return fewer picks than asked for, without a `Stop`.
    """

    name: ClassVar[str] = ""
    prefix: ClassVar[bool] = True
    randomised: ClassVar[bool] = False
    needs_submodular: ClassVar[bool] = False
    stops_early: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = cls.__module__.rpartition(".")[2].replace("_", "-")

    def maximise(
        self,
        objective: Objective,
        k: int,
        *,
        allowance: Allowance | None = None,
        generator: torch.Generator | None = None,
        stop: Stop | None = None,
    ) -> Picks:
        """Pick up to `k` rows so that the value becomes large.

        Args:
            objective: The set function; the set that it holds is built upon, and afterwards holds
                the picks as well.
            k: How many to pick; cut to what the allowance permits.
            allowance: Which rows may be picked; the picks are recorded in it. By default all.
            generator: Randomness; a fresh one with seed 0 if left out.
            stop: When to stop sooner.

        Returns:
            The picks with their gains; exactly `min(k, available)` unless something stopped it.

        Raises:
            ArgumentError: If the objective's gains may rise and this maximiser can't bear that.
        """
        if self.needs_submodular and not objective.submodular:
            raise ArgumentError(
                f"{objective.name} is not submodular, and the maximiser {self.name} needs that; "
                "use 'plain'"
            )
        if allowance is None:
            allowance = Allowance(len(objective), objective.device)
        if generator is None:
            generator = torch.Generator().manual_seed(0)
        k = min(k, allowance.capacity())
        if k == 0:
            return Picks()
        return self._maximise(objective, k, allowance, generator, stop or Stop())

    @abc.abstractmethod
    def _maximise(
        self,
        objective: Objective,
        k: int,
        allowance: Allowance,
        generator: torch.Generator,
        stop: Stop,
    ) -> Picks:
        """Pick `k` rows, which the allowance permits; everything was checked."""
