"""Dots with bars of one standard deviation, a line a method, on a common axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmarks.reporting.aggregate import Spread
from benchmarks.reporting.charts import Style
from benchmarks.reporting.svg import Scale, nice_ticks


class DotRow(NamedTuple):
    """One line of the plot.

    Attributes:
        style: Name and colour.
        value: Where the dot is; None for none.
        text: What stands beside it.
    """

    style: Style
    value: Spread | None
    text: str


def dot_plot(
    dots: Sequence[DotRow], *, low: float, high: float, line: float, unit: str = ""
) -> dict[str, Any]:
    """Lay out a plot; places are in percent of its width.

    Args:
        dots: The lines, in order.
        low: The axis reaches down to it, or further.
        high: The axis reaches up to it, or further.
        line: Where the dark line is.
        unit: After the numbers of the axis.

    Returns:
        `rows`, `ticks` and the place of the dark `line`, for the macro `dots`.
    """
    ticks = nice_ticks(low, high, 5)
    place = Scale(ticks[0], ticks[-1], 0, 100)
    rows = []
    for style, value, text in dots:
        row: dict[str, Any] = {"name": style.name, "colour": style.colour, "text": text}
        row["dot"] = None
        if value is not None:
            start = place(max(value.mean - (value.std or 0.0), ticks[0]))
            stop = place(value.mean + (value.std or 0.0))
            row |= {
                "dot": round(place(value.mean), 2),
                "start": round(start, 2),
                "width": round(stop - start, 2),
            }
        rows.append(row)
    return {
        "rows": rows,
        "ticks": [{"text": f"{tick:g}{unit}", "place": round(place(tick), 2)} for tick in ticks],
        "line": round(place(line), 2),
    }
