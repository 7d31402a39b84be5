"""The page on all methods: when each helps, what it costs, what it was checked against.

The words stand in the method's own file; every number comes from runs.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import methods
from benchmarks.reporting.aggregate import REFERENCES, Summary, aggregate
from benchmarks.reporting.results import Results, write_text_atomically
from benchmarks.reporting.rows import NOTHING
from benchmarks.reporting.table import SEEDS_FOR_A_WINNER, best_of
from clcore.errors import ArgumentError, FormatError

_SHARE = 100


@dataclass(frozen=True)
class _Column:
    """One suite with one memory size."""

    head: str
    cells: dict[str, str]
    shares: dict[str, float]


def methods_table(several: Sequence[Results]) -> str:
    """The table of all methods as Markdown.

    Args:
        several: Results of runs, of different suites. Of a suite with several memory sizes the
            smallest is shown.

    Returns:
        Markdown: one line a method, with its final accuracy in each suite and with the time of its
        runs (training and selection) over that of a reservoir's, the median over the suites. What
        was measured beyond the methods with a file of their own (selectors, `+nem`) comes last.

    Raises:
        ArgumentError: No results are given, a run has none, or two runs are of one suite.
    """
    if not several:
        raise ArgumentError("runs: at least one finished run is needed")
    names = [results.suite for results in several]
    if len(set(names)) < len(names):
        raise ArgumentError(f"runs: {', '.join(names)}: each suite may be given once")
    columns = [_column(results) for results in several]
    heads = ["method", "when it helps", "time", "checked against", *(c.head for c in columns)]
    lines = ["| " + " | ".join(heads) + " |", "|---|---|---:|---|" + "---:|" * len(columns)]
    known = methods.REGISTRY.names()
    for name in [*known, *sorted({label for c in columns for label in c.cells}.difference(known))]:
        method = methods.find(name)
        shares = [column.shares[name] for column in columns if name in column.shares]
        time = f"{statistics.median(shares):.1f}×" if shares else NOTHING
        helps = method.helps
        if method.nearest_mean:
            helps = f"as `{method.name}`, classified by the nearest mean of its exemplars"
        cells = [f"`{name}`", helps, time, method.checked]
        cells += [column.cells.get(name, NOTHING) for column in columns]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


BEGIN = "<!-- made by `clcore methods`: don't edit by hand -->"
END = "<!-- end of the table -->"


def write_table(page: Path, table: str) -> None:
    """Put the table into a page, in place of the one that is there.

    Args:
        page: A Markdown file; a new one is made where there is none.
        table: From `methods_table`.

    Raises:
        FormatError: The page is there but has no place for the table.
    """
    text = f"{BEGIN}\n{END}\n"
    if page.exists():
        text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise FormatError(
            f"{page} has no place for the table: the lines {BEGIN!r} and {END!r} mark it"
        )
    write_text_atomically(page, f"{before}{BEGIN}\n\n{table}\n{END}{after}")


def _column(results: Results) -> _Column:
    if not results.runs:
        raise ArgumentError(f"runs: the one of {results.suite} holds no result yet")
    summaries = aggregate(results.runs)
    sizes = sorted({summary.memory_size for summary in summaries} - {0})
    size = sizes[0] if sizes else 0
    shown = [summary for summary in summaries if summary.memory_size in (0, size)]
    marked = best_of(shown)
    fewest = min(len(summary.seeds) for summary in shown)
    few = f", {fewest} seed" + ("s" if fewest > 1 else "")
    seeds = few if fewest < SEEDS_FOR_A_WINNER else ""
    baseline = next((s for s in shown if s.method == "reservoir"), None)
    cells, shares = {}, {}
    for summary in shown:
        text = summary.final_accuracy.text(scale=_SHARE)
        best = (summary.method, summary.memory_size) in marked
        cells[summary.method] = f"**{text}**" if best else text
        if baseline is not None and summary.method not in REFERENCES:
            shares[summary.method] = _seconds(summary) / _seconds(baseline)
    return _Column(f"{results.suite} ({size}{seeds})", cells, shares)


def _seconds(summary: Summary) -> float:
    """Training and selection of one run."""
    return math.fsum((summary.seconds_train.mean, summary.seconds_select.mean))
