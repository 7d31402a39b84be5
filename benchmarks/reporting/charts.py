"""What the report's charts have in common: series, legends, frames.

Line charts and scatters are drawn twice, for a desk and for a phone, because scaled-down text
can't be read; the style sheet shows one of the two. Colours are classes (`c0` … `c7`, `ref`), so
that the style sheet can give each colour scheme its own. Colour never stands alone: every series
has a marker, too, and from the ninth on a dash.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from benchmarks.reporting.aggregate import Spread
from benchmarks.reporting.svg import Box, Scale, element

COLOURS = 8
"""Colours in the palette (Okabe and Ito's, darkened or lightened for the background)."""


@dataclass(frozen=True)
class Style:
    """How a series looks.

    Args:
        name: What the legend calls it.
        index: Its number among the methods; None for a reference point, drawn grey.
        variant: Which of several compared runs, or of two reference points; chooses the dash.
    """

    name: str
    index: int | None
    variant: int = 0

    @property
    def colour(self) -> str:
        """Class that carries the colour."""
        return "ref" if self.index is None else f"c{self.index % COLOURS}"

    @property
    def dash(self) -> str | None:
        """Pattern of the line; None is a full line."""
        turn = self.variant + (1 if self.index is None else self.index // COLOURS)
        return (None, "6 4", "2 3", "9 3 2 3")[turn % 4]

    def mark(self, x: float, y: float, title: str = "") -> Markup:
        """The series' marker at a point, with a tooltip."""
        tip = [element("title", title)] if title else []
        shape = 4 if self.index is None else (self.index + self.index // COLOURS + self.variant) % 4
        if shape == 0:
            return element("circle", *tip, cx=x, cy=y, r=4, class_="mark")
        path = {
            1: "M-3.6-3.6h7.2v7.2h-7.2z",
            2: "M0-4.8L4.6 3.4H-4.6z",
            3: "M0-5L5 0L0 5L-5 0z",
            4: "M-4.6-1H-1V-4.6H1V-1H4.6V1H1V4.6H-1V1H-4.6z",
        }[shape]
        return element("path", *tip, d=path, transform=f"translate({x:.2f} {y:.2f})", class_="mark")


@dataclass(frozen=True)
class Curve:
    """A line with a band around it.

    Args:
        style: Look and name.
        points: One spread an experience, as rates in [0, 1]; a single one is drawn as a level.
    """

    style: Style
    points: Sequence[Spread]


@dataclass(frozen=True)
class Dot:
    """A point with a vertical error bar.

    Args:
        style: Look and name.
        x: Cost, at least 0.
        y: Rate in [0, 1].
    """

    style: Style
    x: float
    y: Spread


def series(style: Style, *children: Markup) -> Markup:
    """A group that the legend can switch off."""
    return element("g", *children, class_=f"series {style.colour}", data_series=style.name)


def legend(styles: Sequence[Style]) -> Markup:
    """Buttons that switch series on and off; without scripts they are a plain legend."""
    entries = []
    for style in styles:
        swatch = element(
            "svg",
            element("line", x1=1, y1=7, x2=25, y2=7, stroke_dasharray=style.dash, class_="line"),
            style.mark(13, 7),
            width=26,
            height=14,
            viewBox="0 0 26 14",
            aria_hidden="true",
        )
        entries.append(
            element(
                "button",
                swatch,
                element("span", style.name),
                type="button",
                class_=style.colour,
                data_toggle=style.name,
                aria_pressed="true",
            )
        )
    return element("div", *entries, class_="legend")


def bounds(spreads: Sequence[Spread]) -> tuple[float, float]:
    """Range that the means and their deviations span, in percent."""
    low = min(spread.mean - (spread.std or 0.0) for spread in spreads)
    high = max(spread.mean + (spread.std or 0.0) for spread in spreads)
    return max(low, -1.0) * 100, min(high, 1.0) * 100


def frame(
    box: Box, y: Scale, ticks: Sequence[float], title: str, *, unit: str = " %"
) -> list[Markup]:
    """Horizontal grid lines with their labels, and the title of the y axis above them."""
    parts = [element("text", title, x=0, y=12, class_="axis-title")]
    for tick in ticks:
        parts.append(
            element("line", x1=box.left, x2=box.right, y1=y(tick), y2=y(tick), class_="grid")
        )
        parts.append(
            element(
                "text",
                f"{tick:g}{unit}",
                x=box.left - 8,
                y=y(tick) + 4,
                text_anchor="end",
                class_="tick",
            )
        )
    return parts
