"""The table of an offline run: Markdown for `table.md`, rich for the console, columns for wandb.

Full training and blind choices stand beside every method: a selector has to earn its cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table

from benchmarks.offline.aggregate import OfflineSummary, aggregate, order
from benchmarks.offline.record import OfflineResults
from benchmarks.reporting.aggregate import Spread
from benchmarks.reporting.console import fitted_table
from benchmarks.reporting.rows import NOTHING, Row, console_lines, markdown_rows, used_columns
from benchmarks.reporting.table import (
    SEEDS_FOR_A_WINNER,
    indistinguishable,
    quantity,
    seconds_text,
)

if TYPE_CHECKING:
    from benchmarks.reporting.gather import Source

COLUMNS = (
    "method",
    "rows %",
    "optimiser",
    "final accuracy %",
    "against random",
    "final loss",
    "speed-up to loss",
    "speed-up to accuracy",
    "CPU speed-up to loss",
    "CPU speed-up to accuracy",
    "total s",
    "select s",
    "CPU s",
    "gradient error %",
    "passes",
    "seeds",
)
"""Heads of the table's columns."""

ACCURACY = COLUMNS.index("final accuracy %")
"""Which column carries the mark of the best."""

_ORDER = ("method", "rows %", "final accuracy %", "speed-up to loss", "select s", "total s",
          "against random", "CPU speed-up to loss", "speed-up to accuracy", "seeds", "final loss",
          "gradient error %", "CPU s", "CPU speed-up to accuracy", "optimiser",
          "passes")  # fmt: skip
IMPORTANCE = tuple(COLUMNS.index(name) for name in _ORDER)
"""Columns in the order in which a narrow console keeps them."""


@dataclass(frozen=True)
class OfflineRow(Row):
    """One line of the table; a point of reference is full training.

    Args:
        baseline: Whether it is a blind choice.
    """

    baseline: bool

    @property
    def muted(self) -> bool:
        """Full training, and blind choices, too."""
        return self.reference or self.baseline


def rows(results: OfflineResults) -> list[OfflineRow]:
    """The table's lines: by optimiser and fraction; full and random first, then by accuracy."""
    summaries = aggregate(results.runs)
    marked = best_of(summaries)
    made = []
    for summary in summaries:
        baseline = random_beside(summary, summaries)
        made.append(
            OfflineRow(
                cells=(
                    summary.method,
                    f"{summary.fraction * 100:g}",
                    summary.optimizer,
                    summary.final_accuracy.text(scale=100),
                    lead(summary, baseline),
                    summary.final_loss.text(digits=4),
                    factor_text(summary, summary.speedup),
                    factor_text(summary, summary.speedup_accuracy),
                    factor_text(summary, summary.speedup_cpu),
                    factor_text(summary, summary.speedup_accuracy_cpu),
                    seconds_text(summary.seconds),
                    seconds_text(summary.seconds_select),
                    NOTHING if summary.cpu_seconds is None else seconds_text(summary.cpu_seconds),
                    NOTHING
                    if summary.gradient_error is None
                    else summary.gradient_error.text(scale=100),
                    quantity(summary.passes.mean),
                    str(len(summary.seeds)),
                ),
                reference=summary.reference,
                baseline=summary.baseline,
                best=(summary.method, summary.fraction, summary.optimizer) in marked,
                order=order(summary),
            )
        )
    return made


def random_beside(
    summary: OfflineSummary, summaries: Sequence[OfflineSummary]
) -> OfflineSummary | None:
    """The better of the blind choices of the same fraction and optimiser; None where none ran."""
    beside = [
        other
        for other in summaries
        if other.baseline
        and (other.fraction, other.optimizer) == (summary.fraction, summary.optimizer)
    ]
    return max(beside, key=lambda other: other.final_accuracy.mean, default=None)


def lead(summary: OfflineSummary, baseline: OfflineSummary | None) -> str:
    """Percentage points ahead of the better blind choice, seed by seed where both have them."""
    if baseline is None or summary.reference or summary.baseline:
        return NOTHING
    return lead_of(summary, baseline).text(scale=100, digits=1)


def lead_of(summary: OfflineSummary, baseline: OfflineSummary) -> Spread:
    """Accuracy minus that of a baseline, paired by seed where they have seeds in common."""
    theirs = {run.seed: run.final_accuracy for run in baseline.runs}
    paired = [run.final_accuracy - theirs[run.seed] for run in summary.runs if run.seed in theirs]
    if paired:
        return Spread.of(paired)
    return Spread(summary.final_accuracy.mean - baseline.final_accuracy.mean, None, 1)


def factor_text(summary: OfflineSummary, spread: Spread | None) -> str:
    """A speed-up, with how many seeds got there where not all did."""
    if spread is None:
        return NOTHING
    some = "" if spread.n == len(summary.seeds) else f" ({spread.n} of {len(summary.seeds)})"
    return f"{spread.text(digits=2)}{some}"


def best_of(summaries: Sequence[OfflineSummary]) -> set[tuple[str, float, str]]:
    """Which methods may be marked as best in final accuracy, for each fraction and optimiser.

    Args:
        summaries: All summaries of a suite.

    Returns:
        (method, fraction, optimiser); nothing where some method has fewer than five seeds, or
        where there is one method only.
    """
    marked: set[tuple[str, float, str]] = set()
    competitors = [summary for summary in summaries if not summary.reference]
    for place in {(summary.fraction, summary.optimizer) for summary in competitors}:
        group = [one for one in competitors if (one.fraction, one.optimizer) == place]
        if len(group) < 2 or min(len(one.seeds) for one in group) < SEEDS_FOR_A_WINNER:
            continue
        best = max(group, key=lambda one: one.final_accuracy.mean)
        marked |= {
            (one.method, one.fraction, one.optimizer)
            for one in group
            if indistinguishable(best.final_accuracy, one.final_accuracy)
        }
    return marked


def note(results: OfflineResults) -> str:
    """What a reader has to know about the numbers, in plain words."""
    fewest = min((len(summary.seeds) for summary in aggregate(results.runs)), default=0)
    words = (
        "Mean ± sample standard deviation over seeds. Seconds are wall clock; selection is inside "
        "the total and inside every speed-up, measuring is in none. Speed-up: seconds in which "
        "full training first gets to its own final loss (or test accuracy), over the seconds in "
        f"which the method gets there; {NOTHING} where it never does. CPU: the same in processor "
        "time, which other jobs on the machine hardly disturb. Against random: points of "
        "accuracy ahead of the better of random and random-fixed, seed by seed. Gradient error: "
        "length of the difference between the coreset's weighted mean gradient and that of all "
        "rows, in percent of the latter, when chosen."
    )
    if fewest < SEEDS_FOR_A_WINNER:
        words += f" No method is marked as best: that takes {SEEDS_FOR_A_WINNER} seeds each."
    else:
        words += " Bold: best final accuracy of its fraction, and all methods that Welch's test"
        words += " can't tell from it (5 %)."
    return words


OPTIMISER = COLUMNS.index("optimiser")
"""Which column is left out where there is one optimiser only."""


def markdown_table(results: OfflineResults) -> str:
    """The table as Markdown, with its note.

    Args:
        results: What to show.

    Returns:
        Markdown text that ends with a newline.
    """
    lines = rows(results)
    table = markdown_rows(COLUMNS, lines, used_columns(lines, [OPTIMISER]), ACCURACY)
    return "\n".join([f"# {results.suite}", "", *table, "", note(results), ""])


def console_table(results: OfflineResults, *, width: int | None = None) -> Table:
    """The table for `rich.print`, with as many columns as the console has room for.

    Args:
        results: What to show.
        width: Characters across; those of the present console by default.

    Returns:
        A rich table. The caption says so where columns were left out.
    """
    lines = rows(results)
    used = used_columns(lines, [OPTIMISER])
    return fitted_table(
        results.suite,
        COLUMNS,
        console_lines(lines, ACCURACY),
        importance=[column for column in IMPORTANCE if column in used],
        caption=note(results),
        width=width,
    )


NUMBERS = ("final_accuracy", "final_loss", "speedup", "speedup_accuracy", "speedup_cpu",
           "speedup_accuracy_cpu", "seconds", "seconds_select", "cpu_seconds", "gradient_error",
           "passes")  # fmt: skip
"""Numbers of a method on wandb; each has a column for its mean and one for its deviation."""


def methods_table(
    sources: Sequence[Source[OfflineResults]],
) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of the table across all methods on wandb.

    Args:
        sources: Run folders.
    """
    columns = ["run", "method", "fraction", "optimizer", "seeds"]
    columns += [f"{name}{part}" for name in NUMBERS for part in ("", "_std")]
    data: list[list[Any]] = []
    for source in sources:
        for summary in aggregate(source.results.runs):
            line: list[Any] = [source.label, summary.method, float(summary.fraction)]
            line += [summary.optimizer, len(summary.seeds)]
            for name in NUMBERS:
                spread: Spread | None = getattr(summary, name)
                line += [None, None] if spread is None else [float(spread.mean), spread.std]
            data.append(line)
    return columns, data
