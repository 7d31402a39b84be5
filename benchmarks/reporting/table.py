"""The table of a run: Markdown for `table.md`, rich for the console.

Both show the same cells. A best method is marked only where every method has at least five seeds,
and then together with all that five seeds can't tell from it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.table import Table

from benchmarks.reporting.aggregate import Spread, Summary, aggregate
from benchmarks.reporting.console import fitted_table
from benchmarks.reporting.results import Results
from benchmarks.reporting.rows import NOTHING, Row, console_lines, markdown_rows

SEEDS_FOR_A_WINNER = 5
"""Below this many seeds no method is called the best."""

COLUMNS = (
    "method",
    "memory",
    "final accuracy %",
    "average accuracy %",
    "forgetting %",
    "BWT %",
    "learning accuracy %",
    "train s",
    "select s",
    "passes",
    "memory bytes",
    "seeds",
)
"""Heads of the table's columns."""

ACCURACY = COLUMNS.index("final accuracy %")
"""Which column carries the mark of the best."""


def quantity(value: float) -> str:
    """A count in three digits: 950, 12.3k, 4.56M."""
    units = ((1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G"))
    # 999.6k would be rounded to 1000k, so the next unit begins a little early.
    divisor, unit = max(
        (pair for pair in units if abs(value) >= pair[0] * 0.9995), default=units[0]
    )
    scaled = value / divisor
    if not unit:
        return f"{scaled:.0f}"
    digits = 2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0
    return f"{scaled:.{digits}f}{unit}"


def seconds_text(spread: Spread) -> str:
    """Seconds with as many digits as they deserve."""
    if spread.mean == 0:
        return "0"
    return spread.text(digits=1 if spread.mean >= 10 else 2 if spread.mean >= 0.1 else 3)


def indistinguishable(best: Spread, other: Spread) -> bool:
    """Welch's test at 5 %: the difference may be chance."""
    if best.std is None or other.std is None:
        return best.mean == other.mean
    error = math.sqrt(best.std**2 / best.n + other.std**2 / other.n)
    if error == 0.0:
        return best.mean == other.mean
    from scipy.stats import ttest_ind_from_stats

    test = ttest_ind_from_stats(
        best.mean, best.std, best.n, other.mean, other.std, other.n, equal_var=False
    )
    return bool(test.pvalue >= 0.05)


def best_of(summaries: Sequence[Summary]) -> set[tuple[str, int]]:
    """Which methods may be marked as best in final accuracy.

    Args:
        summaries: All summaries of a suite.

    Returns:
        (method, memory size) pairs: for each memory size the best and all that can't be told
        from it; nothing for a memory size where some method has fewer than five seeds, or where
        there is one method only.
    """
    marked: set[tuple[str, int]] = set()
    competitors = [summary for summary in summaries if not summary.reference]
    for size in {summary.memory_size for summary in competitors}:
        group = [summary for summary in competitors if summary.memory_size == size]
        if len(group) < 2 or min(len(summary.seeds) for summary in group) < SEEDS_FOR_A_WINNER:
            continue
        best = max(group, key=lambda summary: summary.final_accuracy.mean)
        marked |= {
            (summary.method, size)
            for summary in group
            if indistinguishable(best.final_accuracy, summary.final_accuracy)
        }
    return marked


def rows(results: Results) -> list[Row]:
    """The table's lines: by memory size, then by final accuracy; naive and joint last."""
    summaries = aggregate(results.runs)
    marked = best_of(summaries)
    return [
        Row(
            cells=(
                summary.method,
                str(summary.memory_size) if summary.memory_size else NOTHING,
                summary.final_accuracy.text(scale=100),
                summary.average_accuracy.text(scale=100),
                summary.average_forgetting.text(scale=100),
                summary.backward_transfer.text(scale=100),
                summary.learning_accuracy.text(scale=100),
                seconds_text(summary.seconds_train),
                seconds_text(summary.seconds_select),
                quantity(summary.passes.mean),
                quantity(summary.memory_bytes.mean) if summary.memory_size else NOTHING,
                str(len(summary.seeds)),
            ),
            reference=summary.reference,
            best=(summary.method, summary.memory_size) in marked,
            order=(summary.reference, summary.memory_size, -summary.final_accuracy.mean),
        )
        for summary in summaries
    ]


def note(results: Results) -> str:
    """What a reader has to know about the numbers, in plain words."""
    fewest = min((len(summary.seeds) for summary in aggregate(results.runs)), default=0)
    words = "Mean ± sample standard deviation over seeds. Passes are forward plus backward, "
    words += "training plus selection, counted in samples."
    if fewest < SEEDS_FOR_A_WINNER:
        words += f" No method is marked as best: that takes {SEEDS_FOR_A_WINNER} seeds each."
    else:
        words += " Bold: best final accuracy of its memory size, and all methods that Welch's test"
        words += " can't tell from it (5 %)."
    return words


def markdown_table(results: Results) -> str:
    """The table as Markdown, with its note.

    Args:
        results: What to show.

    Returns:
        Markdown text that ends with a newline.
    """
    lines = markdown_rows(COLUMNS, rows(results), range(len(COLUMNS)), ACCURACY)
    return "\n".join([f"# {results.suite}", "", *lines, "", note(results), ""])


IMPORTANCE = (0, ACCURACY, 4, 8, 3, 1, 11, 7, 5, 6, 10, 9)
"""Columns in the order in which a narrow console keeps them."""


def console_table(results: Results, *, width: int | None = None) -> Table:
    """The table for `rich.print`, with as many columns as the console has room for.

    Args:
        results: What to show.
        width: Characters across; those of the present console by default.

    Returns:
        A rich table. The caption says so where columns were left out.
    """
    lines = rows(results)
    several_sizes = len({run.memory_size for run in results.runs} - {0}) > 1
    important = sorted(IMPORTANCE, key=lambda column: column != 1) if several_sizes else IMPORTANCE
    return fitted_table(
        results.suite,
        COLUMNS,
        console_lines(lines, ACCURACY),
        importance=sorted(important, key=lambda column: column != 0),
        caption=note(results),
        width=width,
    )
