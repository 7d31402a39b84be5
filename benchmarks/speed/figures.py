"""Tables of figures: as markdown for a page, as plain values for a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.speed.comparison import human
from benchmarks.speed.repeats import MeanError, Spread

Write = Callable[[Any], str]


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        key: Its name in the file.
        heading: What stands above it.
        write: Writes one of its values; None is always an en dash.
    """

    key: str
    heading: str
    write: Write = str


@dataclass(frozen=True)
class Table:
    """What one part of a group measured.

    Attributes:
        name: Its name in the file.
        title: One line above it: what was measured, and on what.
        columns: Its columns.
        rows: One mapping a row, by the columns' keys; a key that is missing is an en dash.
        notes: Sentences below it.
    """

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    notes: Sequence[str] = ()

    def markdown(self) -> str:
        """Write the table for a page, its title above and its notes below."""
        lines = [self.title, ""]
        lines.append("| " + " | ".join(column.heading for column in self.columns) + " |")
        lines.append("|" + "---|" * len(self.columns))
        for row in self.rows:
            cells = [_cell(column, row.get(column.key)) for column in self.columns]
            lines.append("| " + " | ".join(cells) + " |")
        for note in self.notes:
            lines += ["", note]
        return "\n".join(lines)

    def as_plain(self) -> dict[str, Any]:
        """All figures, for the JSON file."""
        keys = [column.key for column in self.columns]
        rows = [{key: _plain(row.get(key)) for key in keys} for row in self.rows]
        return {"name": self.name, "title": self.title, "rows": rows, "notes": list(self.notes)}


def _cell(column: Column, value: Any) -> str:
    return "–" if value is None else column.write(value)


def _plain(value: Any) -> Any:
    return value.as_plain() if isinstance(value, Spread | MeanError) else value


def digits(places: int) -> Write:
    """Write numbers and spreads with so many places after the point."""

    def write(value: Any) -> str:
        if isinstance(value, Spread):
            return spread_text(value, lambda number: f"{number:,.{places}f}")
        if isinstance(value, MeanError):
            return f"{value.mean:,.{places}f} ± {value.error:,.{places}f}"
        return f"{value:,.{places}f}"

    return write


def seconds(value: Any) -> str:
    """Write seconds, or a spread of them, with a unit that suits their size."""
    if isinstance(value, Spread):
        return spread_text(value, human)
    return human(value)


def percent_more(value: Any) -> str:
    """Write a ratio, or a spread of ratios, as how many per cent more it is than one."""

    def write(ratio: float) -> str:
        return f"{100 * (ratio - 1):+.1f} %".replace("-", "−")

    return spread_text(value, write) if isinstance(value, Spread) else write(value)


def times(value: Any) -> str:
    """Write a ratio, or a spread of ratios, as `2.50×`."""

    def write(ratio: float) -> str:
        return f"{ratio:.3g}×"

    return spread_text(value, write) if isinstance(value, Spread) else write(value)


def spread_text(value: Spread, write: Callable[[float], str]) -> str:
    """Write a median with its quartiles; without them where there was one measurement."""
    if value.repeats == 1:
        return write(value.median)
    return f"{write(value.median)} ({write(value.low)} to {write(value.high)})"
