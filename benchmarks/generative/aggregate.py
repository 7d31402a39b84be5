"""Means and standard deviations over the seeds of generative runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.generative.record import PLAIN, GenerativeRun, Measure
from benchmarks.reporting.aggregate import OverSeeds, Spread, by_seed


@dataclass(frozen=True)
class GenerativeSummary(OverSeeds[GenerativeRun]):
    """All seeds of one method with one batch size.

    Args:
        method: Its label.
        batch_size: Rows in a step.
        seeds: The seeds, ascending.
        runs: The runs, in the order of `seeds`.
    """

    method: str
    batch_size: int
    seeds: tuple[int, ...]
    runs: tuple[GenerativeRun, ...]

    @property
    def plain(self) -> bool:
        """Whether nothing is chosen: what the others are held against."""
        return self.method == PLAIN

    @property
    def headline(self) -> Measure:
        """The measure that methods go by."""
        return self.runs[0].headline

    @property
    def final(self) -> Spread:
        """The headline measure at the end."""
        return self.spread(lambda run: run.final)

    def measure(self, name: str) -> Spread | None:
        """A measure at the end; None where no run has it."""
        return self.spread_of_some(
            lambda run: run.last(name) if name in run.course.measures else None
        )

    @property
    def cpu_seconds(self) -> Spread | None:
        """Processor time of training and selection; None where it was not measured."""
        return self.spread_of_some(
            lambda run: None if run.course.cpu_seconds is None else run.course.cpu_seconds[-1]
        )

    @property
    def selection_share(self) -> Spread:
        """Share of selection in the seconds of training and selection."""
        return self.spread(
            lambda run: run.seconds.select / ((run.seconds.train + run.seconds.select) or 1.0)
        )

    @property
    def rows_kept(self) -> Spread:
        """Training rows that the model may see."""
        return self.spread(lambda run: run.rows_kept)


def aggregate(runs: Iterable[GenerativeRun]) -> list[GenerativeSummary]:
    """Gather runs by batch size and method.

    Args:
        runs: Runs of one suite, in any order.

    Returns:
        Summaries by ascending batch size; within one, plain comes first, then the others, the best
        in the headline measure first.

    Raises:
        ArgumentError: Two runs have the same method, batch size and seed.
    """
    found = by_seed(
        runs,
        key=lambda run: (run.method, run.batch_size),
        name=lambda run: f"{run.method} with batch size {run.batch_size}",
    )
    summaries = [GenerativeSummary(*key, *own) for key, own in found.items()]
    return sorted(summaries, key=order)


def order(summary: GenerativeSummary) -> tuple[int, bool, float, str]:
    """Where a summary stands in a table."""
    sign = -1.0 if summary.headline.higher_is_better else 1.0
    return (summary.batch_size, not summary.plain, sign * summary.final.mean, summary.method)


def measures_of(runs: Iterable[GenerativeRun]) -> list[Measure]:
    """All that was measured in some runs, the headline first, each once."""
    found: dict[str, Measure] = {}
    for run in runs:
        for measure in run.measures:
            found.setdefault(measure.name, measure)
    return list(found.values())


def best(summaries: Sequence[GenerativeSummary]) -> GenerativeSummary | None:
    """The method with the best mean of the headline measure, plain aside; None without any."""
    others = [summary for summary in summaries if not summary.plain]
    return min(others, key=lambda summary: order(summary)[2:], default=None)
