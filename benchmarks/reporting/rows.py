"""Lines of the tables of results, whatever the kind of the suite: Markdown, console, page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.reporting.console import Line

if TYPE_CHECKING:
    from benchmarks.reporting.gather import Source
    from benchmarks.reporting.results import BaseResults

NOTHING = "\N{EN DASH}"
"""Stands where a method has no such number."""


@dataclass(frozen=True)
class Row:
    """One line of a table, as text.

    Args:
        cells: Text of each column.
        reference: Whether this is a point of reference, not a competitor.
        best: Whether this is the best of its place, or not to be told from it; never set below five
            seeds.
        order: Sorts the lines of several tables into one.
    """

    cells: tuple[str, ...]
    reference: bool
    best: bool
    order: tuple[Any, ...]

    @property
    def muted(self) -> bool:
        """Whether the line is printed less loudly than the others."""
        return self.reference


def used_columns(rows: Sequence[Row], alike: Sequence[int] = ()) -> list[int]:
    """Columns that say something.

    Args:
        rows: The lines.
        alike: Columns that are left out where all lines say the same.

    Returns:
        Those in which there is anything, ascending.
    """
    count = len(rows[0].cells) if rows else 0
    kept = []
    for column in range(count):
        values = {row.cells[column] for row in rows}
        if values != {NOTHING} and not (column in alike and len(values) == 1):
            kept.append(column)
    return kept


def markdown_lines(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table; the first column is text, the others are numbers.

    Args:
        heads: Heads of the columns.
        lines: Text of each cell.
    """
    made = ["| " + " | ".join(heads) + " |"]
    made.append("|" + "|".join(" ---: " if place else " --- " for place in range(len(heads))) + "|")
    made += ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    return made


def markdown_rows(
    heads: Sequence[str], rows: Sequence[Row], kept: Sequence[int], best_column: int
) -> list[str]:
    """A Markdown table of results: points of reference in italics, the best in bold.

    Args:
        heads: Heads of all columns.
        rows: The lines.
        kept: Which columns are shown, the first among them.
        best_column: Which column carries the mark of the best; one of `kept`.
    """
    lines = []
    for row in rows:
        cells = [row.cells[column] for column in kept]
        if row.muted:
            cells[0] = f"*{cells[0]}*"
        if row.best:
            cells[kept.index(best_column)] = f"**{cells[kept.index(best_column)]}**"
        lines.append(cells)
    return markdown_lines([heads[column] for column in kept], lines)


def console_lines(rows: Sequence[Row], best_column: int) -> list[Line]:
    """The lines for `console.fitted_table`.

    Args:
        rows: The lines.
        best_column: Which column carries the mark of the best.
    """
    return [Line(row.cells, best_column if row.best else None, row.muted) for row in rows]


@dataclass(frozen=True)
class Shown:
    """One line of a table on a page.

    Args:
        label: What its run is called beside others.
        cells: Text of each column shown.
        muted: Whether it is printed less loudly.
        best: Place of the cell that is marked as best; None for none.
    """

    label: str
    cells: tuple[str, ...]
    muted: bool
    best: int | None


def shown_rows(
    rows: Iterable[tuple[Source[BaseResults], Row]], kept: Sequence[int], best_column: int
) -> list[Shown]:
    """Lines as a page shows them.

    Args:
        rows: The lines, with the run folders that they are of.
        kept: Which columns are shown.
        best_column: Which column carries the mark of the best; one of `kept`.
    """
    return [
        Shown(
            source.label,
            tuple(row.cells[column] for column in kept),
            row.muted,
            kept.index(best_column) if row.best else None,
        )
        for source, row in rows
    ]
