"""Figures that were taken several times: their middle, their spread, and how timings are paired."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Work = Callable[[], object]


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of repeated measurements.

    Attributes:
        median: The middle.
        low: The lower quartile.
        high: The upper quartile.
        repeats: How many measurements there were.
    """

    median: float
    low: float
    high: float
    repeats: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Summarise measurements; of a single one the quartiles are the value itself.

        Raises:
            ValueError: There are none.
        """
        taken = sorted(float(value) for value in values)
        if not taken:
            raise ValueError("a spread needs at least one value")
        if len(taken) == 1:
            return cls(taken[0], taken[0], taken[0], 1)
        low, median, high = statistics.quantiles(taken, n=4, method="inclusive")
        return cls(median, low, high, len(taken))

    def as_plain(self) -> dict[str, Any]:
        """All figures, for the JSON file."""
        return {
            "median": self.median,
            "low": self.low,
            "high": self.high,
            "repeats": self.repeats,
        }


@dataclass(frozen=True)
class MeanError:
    """Mean and standard error of a statistic over independent draws.

    Attributes:
        mean: The mean.
        error: Standard error of it; 0 for a single draw, where it can't be told.
        repeats: How many draws there were.
    """

    mean: float
    error: float
    repeats: int

    @classmethod
    def of(cls, values: Iterable[float]) -> MeanError:
        """Summarise draws.

        Raises:
            ValueError: There are none.
        """
        taken = [float(value) for value in values]
        if not taken:
            raise ValueError("a mean needs at least one value")
        error = statistics.stdev(taken) / math.sqrt(len(taken)) if len(taken) > 1 else 0.0
        return cls(statistics.fmean(taken), error, len(taken))

    def as_plain(self) -> dict[str, Any]:
        """All figures, for the JSON file."""
        return {"mean": self.mean, "error": self.error, "repeats": self.repeats}


@dataclass(frozen=True)
class Timings:
    """Seconds of several ways of one work, round by round.

    Attributes:
        seconds: By way, one number a round; the numbers of one place were taken side by side.
    """

    seconds: Mapping[str, tuple[float, ...]]

    def spread(self, name: str) -> Spread:
        """Seconds of one way."""
        return Spread.of(self.seconds[name])

    def ratio(self, name: str, to: str) -> Spread | None:
        """How many times another's seconds one took, from the ratios of the single rounds.

        None where the other took less than the clock can tell.
        """
        pairs = zip(self.seconds[name], self.seconds[to], strict=True)
        ratios = [mine / theirs for mine, theirs in pairs if theirs > 0]
        return Spread.of(ratios) if ratios else None


def paired(contestants: Mapping[str, Work], *, rounds: int, warm: bool = True) -> Timings:
    """Time several ways of one work side by side, in processor time.

    Every other round runs backwards (A B C, C B A, ...), so that a machine that gets slower all the
    time favours nobody. Run torch on one thread (`single_thread`).

    Args:
        contestants: What to run, by name; each call is one unit of work.
        rounds: How often each is timed.
        warm: Run each once before, untimed.

    Returns:
        All timings.
    """
    if warm:
        for work in contestants.values():
            work()
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds):
        order = list(contestants.items())
        for name, work in order if number % 2 == 0 else reversed(order):
            started = time.process_time()
            work()
            taken[name].append(time.process_time() - started)
    return Timings({name: tuple(values) for name, values in taken.items()})
