"""Means and standard deviations over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from benchmarks.reporting.results import Passes, Run, Seconds
from clcore.errors import ArgumentError

REFERENCES = ("naive", "joint")
"""Methods without a memory that say where the bottom and the top are."""


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation of one number over seeds.

    Args:
        mean: Arithmetic mean.
        std: Sample standard deviation (n - 1 in the denominator); None for a single value.
        n: How many values.
    """

    mean: float
    std: float | None
    n: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Spread of some values.

        Raises:
            ArgumentError: There are no values.
        """
        numbers = [float(value) for value in values]
        if not numbers:
            raise ArgumentError("values: a mean needs at least one value, none was given")
        std = statistics.stdev(numbers) if len(numbers) > 1 else None
        return cls(math.fsum(numbers) / len(numbers), std, len(numbers))

    def scaled(self, factor: float) -> Spread:
        """The spread of the values times a positive factor, for example 100 for percent."""
        return Spread(self.mean * factor, None if self.std is None else self.std * factor, self.n)

    @property
    def error(self) -> float | None:
        """Standard error of the mean; None for a single value."""
        return None if self.std is None else self.std / math.sqrt(self.n)

    def text(self, *, scale: float = 1.0, digits: int = 1) -> str:
        """`mean ± std` in print, or the mean alone where there is one value.

        Args:
            scale: Factor, for example 100 for percent.
            digits: Digits after the point.
        """
        mean = f"{self.mean * scale:.{digits}f}"
        # -0.0 is no news to anybody.
        mean = mean.removeprefix("-") if float(mean) == 0 else mean
        return mean if self.std is None else f"{mean} ± {self.std * scale:.{digits}f}"


class Measured(Protocol):
    """What the runs of all kinds of suites have."""

    @property
    def seed(self) -> int:
        """Seed of the run."""
        ...

    @property
    def seconds(self) -> Seconds:
        """What it took."""
        ...

    @property
    def passes(self) -> Passes:
        """Passes of training."""
        ...

    @property
    def selection_passes(self) -> Passes:
        """Passes of selection."""
        ...


R = TypeVar("R", bound=Measured)
K = TypeVar("K", bound=Hashable)


class OverSeeds(Generic[R]):
    """What can be said of all seeds of one method, whatever the kind of the suite.

    Attributes:
        seeds: The seeds, ascending.
        runs: The runs, in the order of `seeds`.
    """

    seeds: tuple[int, ...]
    runs: tuple[R, ...]

    def spread(self, value: Callable[[R], float]) -> Spread:
        """Mean and deviation of one number of a run, over the seeds."""
        return Spread.of(value(run) for run in self.runs)

    def spread_of_some(self, value: Callable[[R], float | None]) -> Spread | None:
        """The same over the seeds that have the number; None where none has."""
        values = [number for run in self.runs if (number := value(run)) is not None]
        return Spread.of(values) if values else None

    @property
    def seconds_train(self) -> Spread:
        """Seconds of training, selection excluded."""
        return self.spread(lambda run: run.seconds.train)

    @property
    def seconds_select(self) -> Spread:
        """Seconds of selection."""
        return self.spread(lambda run: run.seconds.select)

    @property
    def seconds(self) -> Spread:
        """Seconds of training and selection."""
        return self.spread(lambda run: run.seconds.train + run.seconds.select)

    @property
    def passes(self) -> Spread:
        """Forward plus backward passes of training and selection, in samples."""
        return self.spread(
            lambda run: (
                run.passes.forward
                + run.passes.backward
                + run.selection_passes.forward
                + run.selection_passes.backward
            )
        )

    @property
    def selection_passes(self) -> Spread:
        """Forward plus backward passes of selection alone, in samples."""
        return self.spread(lambda run: run.selection_passes.forward + run.selection_passes.backward)


def by_seed(
    runs: Iterable[R], key: Callable[[R], K], name: Callable[[R], str]
) -> dict[K, tuple[tuple[int, ...], tuple[R, ...]]]:
    """Gather runs that differ in their seeds only.

    Args:
        runs: Runs of one suite, in any order.
        key: What runs that belong together have in common.
        name: What to call them, for the error message.

    Returns:
        For each key the seeds, ascending, and their runs.

    Raises:
        ArgumentError: Two runs have the same key and seed.
    """
    groups: dict[K, dict[int, R]] = {}
    for run in runs:
        seeds = groups.setdefault(key(run), {})
        if run.seed in seeds:
            raise ArgumentError(
                f"runs: {name(run)} and seed {run.seed} is there twice; each may occur once"
            )
        seeds[run.seed] = run
    return {
        place: (tuple(sorted(seeds)), tuple(seeds[seed] for seed in sorted(seeds)))
        for place, seeds in groups.items()
    }


@dataclass(frozen=True)
class Summary(OverSeeds[Run]):
    """All seeds of one method with one memory size.

    Args:
        method: Registered name.
        memory_size: Exemplars allowed; 0 without a memory.
        seeds: The seeds, ascending.
        runs: The runs, in the order of `seeds`.
    """

    method: str
    memory_size: int
    seeds: tuple[int, ...]
    runs: tuple[Run, ...]

    @property
    def reference(self) -> bool:
        """Whether this is naive or joint training: a reference point, not a competitor."""
        return self.method in REFERENCES

    @property
    def final_accuracy(self) -> Spread:
        """Mean accuracy over all experiences after the last."""
        return self.spread(lambda run: run.final_accuracy)

    @property
    def average_accuracy(self) -> Spread:
        """Accuracy on what was seen so far, averaged over the experiences."""
        return self.spread(lambda run: run.average_accuracy)

    @property
    def average_forgetting(self) -> Spread:
        """Best minus last accuracy, averaged over the earlier experiences."""
        return self.spread(lambda run: run.average_forgetting)

    @property
    def backward_transfer(self) -> Spread:
        """Last minus just-learned accuracy, averaged over the earlier experiences."""
        return self.spread(lambda run: run.backward_transfer)

    @property
    def forward_transfer(self) -> Spread | None:
        """Accuracy before training minus that of an untrained model; None where not measured."""
        values = [run.forward_transfer for run in self.runs if run.forward_transfer is not None]
        return Spread.of(values) if values else None

    @property
    def learning_accuracy(self) -> Spread:
        """Accuracy on each experience just after it was learned."""
        return self.spread(lambda run: run.learning_accuracy)

    @property
    def memory_bytes(self) -> Spread:
        """Bytes in the memory at the end."""
        return self.spread(lambda run: run.memory_bytes)

    def curve(self) -> list[Spread]:
        """Average accuracy on the experiences seen so far, after each experience.

        Returns:
            One spread a row of the accuracy matrix.
        """
        curves = [accuracy_curve(run.accuracy_matrix) for run in self.runs]
        shortest = min(len(curve) for curve in curves)
        return [Spread.of(curve[row] for curve in curves) for row in range(shortest)]

    def mean_matrix(self) -> list[list[float]]:
        """Accuracy matrix averaged over the seeds.

        Returns:
            Rows of the size that all seeds have in common.
        """
        matrices = [run.accuracy_matrix for run in self.runs]
        rows = min(len(matrix) for matrix in matrices)
        columns = min(len(matrix[0]) for matrix in matrices)
        return [
            [
                math.fsum(matrix[row][column] for matrix in matrices) / len(matrices)
                for column in range(columns)
            ]
            for row in range(rows)
        ]


def accuracy_curve(matrix: Sequence[Sequence[float]]) -> list[float]:
    """Average accuracy on the experiences seen so far.

    Args:
        matrix: Accuracy matrix; row i is measured after training on experience i.

    Returns:
        One number a row: the mean of columns 0 to i, or of all columns where the matrix has one
        row only (joint training).
    """
    if len(matrix) == 1:
        return [math.fsum(matrix[0]) / len(matrix[0])]
    return [math.fsum(row[: index + 1]) / len(row[: index + 1]) for index, row in enumerate(matrix)]


def aggregate(runs: Iterable[Run]) -> list[Summary]:
    """Gather runs by method and memory size.

    Args:
        runs: Runs of one suite, in any order.

    Returns:
        Summaries by ascending memory size and, within a size, by descending final accuracy; the
        reference points (naive, joint) come last.

    Raises:
        ArgumentError: Two runs have the same method, memory size and seed.
    """
    found = by_seed(
        runs,
        key=lambda run: (run.method, run.memory_size),
        name=lambda run: f"{run.method} with memory {run.memory_size}",
    )
    summaries = [Summary(*key, *own) for key, own in found.items()]
    return sorted(
        summaries,
        key=lambda summary: (
            summary.reference,
            0 if summary.reference else summary.memory_size,
            -summary.final_accuracy.mean,
            summary.method,
        ),
    )
