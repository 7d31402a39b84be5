"""A table that fits the console: the most important columns that there is room for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich import get_console
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text


class Line(NamedTuple):
    """One line of a table.

    Attributes:
        cells: Text of each column.
        bold: Which column stands out; None for none.
        dim: Whether the line is a point of reference only.
    """

    cells: Sequence[str]
    bold: int | None
    dim: bool


def fitted_table(
    title: str,
    heads: Sequence[str],
    lines: Sequence[Line],
    *,
    importance: Iterable[int],
    caption: str,
    width: int | None = None,
) -> Table:
    """Lay out as many columns as fit.

    Args:
        title: Over the table.
        heads: Heads of all columns.
        lines: Its lines.
        importance: Columns that may be shown, in the order in which a narrow console keeps them.
        caption: Under the table; it is added how many columns there was no room for.
        width: Characters across; those of the present console by default.

    Returns:
        A rich table.
    """
    room = (width if width is not None else get_console().width) - 2
    wanted, kept = list(importance), list[int]()
    for column in wanted:
        words = [*heads[column].split(), *(line.cells[column] for line in lines)]
        room -= max(len(word) for word in words) + 3  # padding and the gap between
        if room < 0:
            break
        kept.append(column)
    kept = sorted(kept) or [0]
    if len(kept) < len(wanted):
        caption += f" {len(wanted) - len(kept)} more columns are in table.md."
    table = Table(title=title, caption=caption, title_justify="left", box=SIMPLE_HEAD)
    table.caption_justify = "left"
    for column in kept:
        table.add_column(
            "\n".join(heads[column].split()),
            justify="left" if column == 0 else "right",
            no_wrap=True,
            vertical="bottom",
        )
    for line in lines:
        cells = [Text(line.cells[column]) for column in kept]
        if line.bold is not None and line.bold in kept:
            cells[kept.index(line.bold)].stylize("bold")
        table.add_row(*cells, style="dim" if line.dim else None)
    return table
