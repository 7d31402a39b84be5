"""The tables of a generative run: Markdown for `table.md`, rich for the console, rows for wandb.

Two tables: what each method ends with, plain training first; and what choosing gives against plain
training with the same batch size and with twice as much, at equal steps and at equal time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from benchmarks.generative.aggregate import GenerativeSummary, aggregate, measures_of, order
from benchmarks.generative.comparison import compare
from benchmarks.generative.comparison_table import (
    COMPARISON_NOTE,
    comparison_columns,
    comparison_rows,
)
from benchmarks.generative.printing import digits_of, title_of, value_text
from benchmarks.generative.record import GenerativeResults, GenerativeRun, Measure
from benchmarks.generative.verdicts import verdicts
from benchmarks.reporting.aggregate import Spread
from benchmarks.reporting.console import fitted_table
from benchmarks.reporting.rows import (
    NOTHING,
    Row,
    console_lines,
    markdown_lines,
    markdown_rows,
    used_columns,
)
from benchmarks.reporting.table import (
    SEEDS_FOR_A_WINNER,
    indistinguishable,
    quantity,
    seconds_text,
)

if TYPE_CHECKING:
    from benchmarks.reporting.gather import Source

BEFORE = ("method", "batch")
AFTER = ("total s", "select s", "select %", "CPU s", "rows kept", "passes", "seeds")
HEADLINE = len(BEFORE)
"""Which column carries the mark of the best: that of the first measure."""


def columns(measures: Sequence[Measure]) -> tuple[str, ...]:
    """Heads of the table.

    Args:
        measures: What was measured, the headline first.
    """
    return (*BEFORE, *(title_of(measure) for measure in measures), *AFTER)


def rows(results: GenerativeResults, measures: Sequence[Measure] | None = None) -> list[Row]:
    """The table's lines: by batch size; plain training first, then the best.

    Args:
        results: What to show.
        measures: Which measures have a column; those of the runs by default.
    """
    shown = measures_of(results.runs) if measures is None else measures
    summaries = aggregate(results.runs)
    marked = best_of(summaries)
    values = {m.name: [summary.measure(m.name) for summary in summaries] for m in shown}
    digits = {measure.name: digits_of(values[measure.name], measure) for measure in shown}
    made = []
    for place, summary in enumerate(summaries):
        measured = [
            NOTHING if (value := values[m.name][place]) is None
            else value_text(value, m, digits[m.name])
            for m in shown
        ]  # fmt: skip
        cpu = summary.cpu_seconds
        made.append(
            Row(
                cells=(
                    summary.method,
                    str(summary.batch_size),
                    *measured,
                    seconds_text(summary.seconds),
                    seconds_text(summary.seconds_select),
                    summary.selection_share.text(scale=100),
                    NOTHING if cpu is None else seconds_text(cpu),
                    kept_text(summary),
                    quantity(summary.passes.mean),
                    str(len(summary.seeds)),
                ),
                reference=summary.plain,
                best=(summary.method, summary.batch_size) in marked,
                order=order(summary),
            )
        )
    return made


def kept_text(summary: GenerativeSummary) -> str:
    """Rows that a method keeps, or `all`."""
    if all(run.rows_kept == run.rows for run in summary.runs):
        return "all"
    return quantity(summary.rows_kept.mean)


def best_of(summaries: Sequence[GenerativeSummary]) -> set[tuple[str, int]]:
    """Which methods may be marked as best in the headline measure, for each batch size.

    Args:
        summaries: All summaries of a suite. Plain training may win, too.

    Returns:
        (method, batch size); nothing where some method has fewer than five seeds, or where there
        is one method only.
    """
    marked: set[tuple[str, int]] = set()
    for size in {summary.batch_size for summary in summaries}:
        group = [one for one in summaries if one.batch_size == size]
        if len(group) < 2 or min(len(one.seeds) for one in group) < SEEDS_FOR_A_WINNER:
            continue
        sign = 1.0 if group[0].headline.higher_is_better else -1.0
        best = max(group, key=lambda one: sign * one.final.mean)
        marked |= {
            (one.method, one.batch_size)
            for one in group
            if indistinguishable(best.final, one.final)
        }
    return marked


def note(results: GenerativeResults) -> str:
    """What a reader has to know about the numbers, in plain words."""
    fewest = min((len(summary.seeds) for summary in aggregate(results.runs)), default=0)
    words = (
        "Mean ± sample standard deviation over seeds, at the last step. Arrows: which way is "
        "better. Seconds are wall clock; selection is inside the total, measuring is in none. "
        "Select s: what choosing took, embeddings and whatever is chosen before training inside. "
        "CPU: the total in processor time, which other jobs on the machine hardly disturb. Passes "
        "are forward plus backward, training plus selection, counted in rows."
    )
    if fewest < SEEDS_FOR_A_WINNER:
        words += f" No method is marked as best: that takes {SEEDS_FOR_A_WINNER} seeds each."
    else:
        words += " Bold: the best of its batch size in the first measure, plain training included, "
        words += "and all methods that Welch's test can't tell from it (5 %)."
    return words


def markdown_table(results: GenerativeResults) -> str:
    """Both tables as Markdown, with their notes.

    Args:
        results: What to show.

    Returns:
        Markdown text that ends with a newline.
    """
    lines = rows(results)
    heads = columns(measures_of(results.runs))
    text = [f"# {results.suite}", ""]
    text += markdown_rows(heads, lines, used_columns(lines), HEADLINE)
    text += ["", note(results), ""]
    comparisons = compare(results.runs)
    if comparisons:
        text += ["## Against plain training, at equal steps and at equal time", ""]
        text += [f"{title_of(comparisons[0].steps.measure)}.", ""]
    for comparison in comparisons:
        text += [f"### Batch {comparison.batch_size}", ""]
        text += markdown_lines(comparison_columns(comparison), comparison_rows(comparison))
        text += ["", *(f"- {sentence}" for sentence in verdicts(comparison)), ""]
    if comparisons:
        text += [COMPARISON_NOTE, ""]
    return "\n".join(text)


def console_table(results: GenerativeResults, *, width: int | None = None) -> Table:
    """The table for `rich.print`, with as many columns as the console has room for.

    Args:
        results: What to show.
        width: Characters across; those of the present console by default.

    Returns:
        A rich table. The caption has the sentences of the comparison, and says so where columns
        were left out.
    """
    lines = rows(results)
    measures = measures_of(results.runs)
    used = used_columns(lines)
    last = HEADLINE + len(measures)
    after = {name: last + place for place, name in enumerate(AFTER)}
    important = [
        0, 1, HEADLINE, after["select s"], after["total s"], *range(HEADLINE + 1, last),
        after["seeds"], after["CPU s"], after["select %"], after["rows kept"], after["passes"],
    ]  # fmt: skip
    said = [sentence for one in compare(results.runs) for sentence in verdicts(one)]
    if said:
        said.insert(0, f"By {measures[0].title}, leads ± standard errors, seed by seed:")
    return fitted_table(
        results.suite,
        columns(measures),
        console_lines(lines, HEADLINE),
        importance=[column for column in important if column in used],
        caption="\n".join([*said, note(results)]),
        width=width,
    )


NUMBERS = ("seconds", "seconds_select", "selection_share", "cpu_seconds", "rows_kept", "passes")
"""Numbers of a method on wandb; each has a column for its mean and one for its deviation."""


def methods_table(
    sources: Sequence[Source[GenerativeResults]],
) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of the table across all methods on wandb.

    Args:
        sources: Run folders.
    """
    runs: list[GenerativeRun] = [run for source in sources for run in source.results.runs]
    names = [measure.name for measure in measures_of(runs)]
    heads = ["run", "method", "batch_size", "seeds"]
    heads += [f"{name}{part}" for name in (*names, *NUMBERS) for part in ("", "_std")]
    data: list[list[Any]] = []
    for source in sources:
        for summary in aggregate(source.results.runs):
            line: list[Any] = [source.label, summary.method, summary.batch_size]
            line.append(len(summary.seeds))
            spreads: list[Spread | None] = [summary.measure(name) for name in names]
            spreads += [getattr(summary, name) for name in NUMBERS]
            for spread in spreads:
                line += [None, None] if spread is None else [float(spread.mean), spread.std]
            data.append(line)
    return heads, data
