"""Choosing with batch size B against plain training with B and with 2 B.

A selector pays for its choice in time, and a larger batch is the plain way to spend the same time.
So the headline measure is read twice: at equal steps, the last that all runs have measured; and at
equal time, when plain training with B and the same seed ended. Time is that of the processor, which
other jobs on the machine hardly disturb, where all runs measured it, and wall clock otherwise;
training and selection are inside, measuring is not. Between two points of a run the measure is
taken to change linearly.

Differences are taken seed by seed. A method counts as ahead where its mean lead is greater than one
standard error of it, which is a hint and no proof: of methods that are no better, one in six or
more gets there by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from benchmarks.generative.aggregate import GenerativeSummary, aggregate
from benchmarks.generative.record import PLAIN, GenerativeRun, Measure
from benchmarks.reporting.aggregate import Spread

Clock: TypeAlias = Literal["steps", "cpu_seconds", "seconds"]
Verdict: TypeAlias = Literal["ahead", "level", "behind", "open"]

TOLERANCE = 0.05
"""A run that ends earlier by up to this share of the time is read at its end: clocks are not
exact, and a method that costs nothing would otherwise miss the time of plain training by chance."""


@dataclass(frozen=True)
class Standing:
    """One method at one place of comparison.

    Args:
        method: Its label.
        batch_size: Rows in a step.
        seeds: How many seeds it has.
        value: The measure there, over the seeds that got there; None where none did.
        leads: Over each of the references, seed by seed: how much better the measure is, whichever
            way is better; None where no seed has both, or over itself.
    """

    method: str
    batch_size: int
    seeds: int
    value: Spread | None
    leads: tuple[Spread | None, ...]


@dataclass(frozen=True)
class Contest:
    """All methods with one batch size at one place of comparison.

    Args:
        batch_size: B.
        clock: What is equal: steps, or a clock.
        at: Steps, or seconds in which plain training ended, over its seeds.
        measure: What is compared.
        references: Batch sizes of plain training that the others are held against: B and, where it
            was run, 2 B.
        standings: Plain training with B first, then the methods as in the table, then plain
            training with 2 B.
    """

    batch_size: int
    clock: Clock
    at: Spread
    measure: Measure
    references: tuple[int, ...]
    standings: tuple[Standing, ...]


@dataclass(frozen=True)
class Comparison:
    """Both contests of one batch size.

    Args:
        batch_size: B.
        steps: At equal steps.
        time: At equal time.
    """

    batch_size: int
    steps: Contest
    time: Contest


def compare(runs: Iterable[GenerativeRun]) -> list[Comparison]:
    """Hold the methods of each batch size against plain training with it and with twice as much.

    Args:
        runs: Runs of one suite, in any order.

    Returns:
        One comparison for each batch size that plain training and something else to compare with
        it were run with, ascending.

    Raises:
        ArgumentError: Two runs have the same method, batch size and seed.
    """
    summaries = aggregate(runs)
    plain = {summary.batch_size: summary for summary in summaries if summary.plain}
    found = []
    for size, baseline in plain.items():
        methods = [one for one in summaries if one.batch_size == size and not one.plain]
        double = [plain[2 * size]] if 2 * size in plain else []
        if methods or double:
            found.append(_compare(baseline, methods, double))
    return found


def _compare(
    baseline: GenerativeSummary,
    methods: Sequence[GenerativeSummary],
    double: Sequence[GenerativeSummary],
) -> Comparison:
    summaries = [baseline, *methods, *double]
    runs = [run for summary in summaries for run in summary.runs]
    # The untrained model is a point of every course, so there is always one in common.
    step = float(max(set.intersection(*(set(run.course.steps) for run in runs))))
    measured = all(run.course.cpu_seconds is not None for run in runs)
    clock: Clock = "cpu_seconds" if measured else "seconds"
    ends = {run.seed: times_of(run, clock)[-1] for run in baseline.runs}
    references = [baseline, *double]
    return Comparison(
        baseline.batch_size,
        _contest(summaries, references, "steps", dict.fromkeys(seeds_of(runs), step)),
        _contest(summaries, references, clock, ends),
    )


def seeds_of(runs: Iterable[GenerativeRun]) -> set[int]:
    """The seeds of some runs."""
    return {run.seed for run in runs}


def _contest(
    summaries: Sequence[GenerativeSummary],
    references: Sequence[GenerativeSummary],
    clock: Clock,
    at: dict[int, float],
) -> Contest:
    """Read all runs at the place of their seed."""
    measure = references[0].headline

    def read(run: GenerativeRun) -> float | None:
        return value_at(run, measure.name, clock, at[run.seed]) if run.seed in at else None

    standings = []
    for summary in summaries:
        leads = [
            None if summary is reference else lead(summary, reference, measure, read)
            for reference in references
        ]
        value = summary.spread_of_some(read)
        standings.append(
            Standing(summary.method, summary.batch_size, len(summary.seeds), value, tuple(leads))
        )
    return Contest(
        references[0].batch_size,
        clock,
        Spread.of(at[run.seed] for run in references[0].runs),
        measure,
        tuple(reference.batch_size for reference in references),
        tuple(standings),
    )


def lead(
    summary: GenerativeSummary,
    reference: GenerativeSummary,
    measure: Measure,
    read: Callable[[GenerativeRun], float | None],
) -> Spread | None:
    """How much better a method is than another, seed by seed.

    Args:
        summary: The method.
        reference: What it is held against.
        measure: Says which way is better.
        read: The measure of a run; None where the run never got there.

    Returns:
        Mean and deviation of the differences, positive where the method is better; None where no
        seed has both.
    """
    theirs = {run.seed: read(run) for run in reference.runs}
    sign = 1.0 if measure.higher_is_better else -1.0
    leads = [
        sign * (mine - other)
        for run in summary.runs
        if (mine := read(run)) is not None and (other := theirs.get(run.seed)) is not None
    ]
    return Spread.of(leads) if leads else None


def times_of(run: GenerativeRun, clock: Clock) -> Sequence[float]:
    """Where the points of a run lie on a clock.

    Raises:
        AssertionError: The run has no such clock.
    """
    times: Sequence[float] | None = getattr(run.course, clock)
    assert times is not None, f"{run.cell} did not measure {clock}"
    return times


def value_at(run: GenerativeRun, measure: str, clock: Clock, at: float) -> float | None:
    """A measure at some place of a run's course, linear between its points.

    Args:
        run: The run.
        measure: Name of the measure.
        clock: What the place is on.
        at: The place; before the first point the model is untrained still, as there.

    Returns:
        The value; None where the run never got that far: it ended earlier by more than
        `TOLERANCE`, or it has no such measure.
    """
    values = run.course.measures.get(measure)
    times = times_of(run, clock)
    if values is None or times[-1] < at * (1.0 - TOLERANCE):
        return None
    return float(np.interp(at, times, values))


def verdict(difference: Spread | None) -> Verdict:
    """Whether a lead is one.

    Args:
        difference: Lead over another method, seed by seed.

    Returns:
        `"ahead"` or `"behind"` where it is greater than one standard error, `"level"` where it is
        not, `"open"` where there are fewer than two seeds.
    """
    if difference is None or difference.error is None:
        return "open"
    if abs(difference.mean) <= difference.error:
        return "level"
    return "ahead" if difference.mean > 0 else "behind"


def name_of(standing: Standing, batch_size: int) -> str:
    """What a standing is called among those of a batch size: plain training with its own."""
    if standing.method != PLAIN and standing.batch_size == batch_size:
        return standing.method
    return f"{standing.method} (batch {standing.batch_size})"
