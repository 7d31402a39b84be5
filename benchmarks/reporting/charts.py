"""The report's charts as inline SVG.

Line charts and scatters are drawn twice, for a desk and for a phone, because scaled-down text
can't be read; the style sheet shows one of the two. Colours are classes (`c0` … `c7`, `ref`), so
that the style sheet can give each colour scheme its own. Colour never stands alone: every series
has a marker, too, and from the ninth on a dash.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from benchmarks.reporting.aggregate import Spread
from benchmarks.reporting.svg import (
    CHARACTER,
    Box,
    Scale,
    element,
    join,
    log_ticks,
    nice_ticks,
    place_labels,
    spread_apart,
)

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


def _bounds(spreads: Sequence[Spread]) -> tuple[float, float]:
    low = min(spread.mean - (spread.std or 0.0) for spread in spreads)
    high = max(spread.mean + (spread.std or 0.0) for spread in spreads)
    return max(low, -1.0) * 100, min(high, 1.0) * 100


def _frame(
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


def _draw_curve(curve: Curve, x: Scale, y: Scale, right: float) -> Markup:
    style, points = curve.style, curve.points
    if len(points) == 1:
        level = y(points[0].mean * 100)
        title = f"{style.name}: {points[0].text(scale=100)} %"
        return element(
            "line",
            element("title", title),
            x1=x.start,
            x2=right,
            y1=level,
            y2=level,
            class_="line",
            stroke_dasharray=style.dash,
        )
    upper = [(x(i + 1), y(min((p.mean + (p.std or 0)) * 100, 100))) for i, p in enumerate(points)]
    lower = [(x(i + 1), y(max((p.mean - (p.std or 0)) * 100, 0))) for i, p in enumerate(points)]
    middle = [(x(i + 1), y(p.mean * 100)) for i, p in enumerate(points)]
    parts = []
    if any(point.std for point in points):
        outline = " ".join(f"{px:.2f},{py:.2f}" for px, py in upper + lower[::-1])
        parts.append(element("polygon", points=outline, class_="band"))
    line = " ".join(f"{px:.2f},{py:.2f}" for px, py in middle)
    parts.append(element("polyline", points=line, class_="line", stroke_dasharray=style.dash))
    parts.extend(
        style.mark(px, py, f"{style.name}, after experience {i + 1}: {points[i].text(scale=100)} %")
        for i, (px, py) in enumerate(middle)
    )
    return join(parts)


def curve_chart(curves: Sequence[Curve], *, width: int, height: int, label_ends: bool) -> Markup:
    """Average accuracy over experiences.

    Args:
        curves: At least one.
        width: Pixels.
        height: Pixels.
        label_ends: Whether to write each name at the end of its line.

    Returns:
        An `svg` element.
    """
    count = max(len(curve.points) for curve in curves)
    longest = max(len(curve.style.name) for curve in curves)
    margin = longest * CHARACTER + 22 if label_ends else 12
    box = Box(48, 30, width - margin, height - 40)
    low, high = _bounds([point for curve in curves for point in curve.points])
    ticks = nice_ticks(low, high, 6)
    y = Scale(ticks[0], ticks[-1], box.bottom, box.top)
    x = Scale(1, max(count, 2), box.left + 8, box.right - 8)
    parts = _frame(box, y, ticks, "average accuracy on the experiences seen so far")
    every = max(1, math.ceil(count / ((box.right - box.left) / 34)))
    for index in range(1, count + 1, every):
        parts.append(
            element(
                "text", str(index), x=x(index), y=box.bottom + 18, text_anchor="middle",
                class_="tick",
            )
        )  # fmt: skip
    parts.append(
        element(
            "text", "after experience", x=(box.left + box.right) / 2, y=height - 4,
            text_anchor="middle", class_="axis-title",
        )
    )  # fmt: skip
    ends = [y(curve.points[-1].mean * 100) for curve in curves]
    labels = spread_apart(ends, 16, box.top, box.bottom)
    for curve, end, label in zip(curves, ends, labels, strict=True):
        drawn = [_draw_curve(curve, x, y, x(count))]
        if label_ends:
            drawn.append(
                element(
                    "polyline",
                    points=f"{x(count) + 6:.1f},{end:.1f} {x(count) + 20:.1f},{label:.1f}",
                    class_="leader",
                )
            )
            drawn.append(
                element(
                    "text", curve.style.name, x=x(count) + 24, y=label + 4, class_="series-label"
                )
            )
        parts.append(series(curve.style, *drawn))
    return element(
        "svg", *parts, viewBox=f"0 0 {width} {height}", role="img", class_="chart",
        aria_label="Average accuracy over experiences, a line for each method",
    )  # fmt: skip


def _seconds(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value * 1000:g} ms" if value < 1 else f"{value:g} s"


def cost_chart(dots: Sequence[Dot], *, width: int, height: int, label_dots: bool) -> Markup:
    """Final accuracy against the seconds spent on selection, logarithmic.

    Args:
        dots: At least one. Those that cost nothing stand in a lane of their own, at 0.
        width: Pixels.
        height: Pixels.
        label_dots: Whether to write names beside the dots where there is room.

    Returns:
        An `svg` element.
    """
    box = Box(48, 30, width - 14, height - 40)
    costs = [dot.x for dot in dots if dot.x > 0]
    free = any(dot.x <= 0 for dot in dots)
    low, high = _bounds([dot.y for dot in dots])
    y_ticks = nice_ticks(low, high, 6)
    y = Scale(y_ticks[0], y_ticks[-1], box.bottom, box.top)
    lane = box.left + 26
    left = box.left + (72 if free else 24)
    parts = _frame(box, y, y_ticks, "final accuracy")
    x_ticks = log_ticks(min(costs), max(costs)) if costs else [0.001, 1.0]
    x = Scale(x_ticks[0], x_ticks[-1], left, box.right - 24, logarithmic=True)
    marks = [(x(tick), _seconds(tick)) for tick in x_ticks] if costs else []
    room = (box.right - left) / max(len(marks), 1)
    marks = marks[:: max(1, math.ceil(52 / room))]
    for place, text in ([(lane, "0")] if free else []) + marks:
        parts.append(
            element("line", x1=place, x2=place, y1=box.bottom, y2=box.bottom + 4, class_="grid")
        )
        parts.append(
            element("text", text, x=place, y=box.bottom + 18, text_anchor="middle", class_="tick")
        )
    if free and costs:
        edge = (lane + left) / 2
        parts.append(
            element("line", x1=edge, x2=edge, y1=box.top, y2=box.bottom, class_="grid lane")
        )
    parts.append(
        element(
            "text", "seconds spent on selection, a run", x=(box.left + box.right) / 2,
            y=height - 4, text_anchor="middle", class_="axis-title",
        )
    )  # fmt: skip
    points = [(x(dot.x) if dot.x > 0 else lane, y(dot.y.mean * 100)) for dot in dots]
    bars = [_error_bar(px, dot.y, y) for (px, _), dot in zip(points, dots, strict=True)]
    taken = [
        Box(px - 3, top, px + 3, bottom)
        for (px, _), (top, bottom) in zip(points, bars, strict=True)
    ]
    names = [dot.style.name if label_dots else "" for dot in dots]
    labels = place_labels(points, names, box, taken)
    for dot, (px, py), (top, bottom), label in zip(dots, points, bars, labels, strict=True):
        title = f"{dot.style.name}: {dot.y.text(scale=100)} %, {_seconds(float(f'{dot.x:.3g}'))}"
        drawn = [
            element("line", x1=px, x2=px, y1=top, y2=bottom, class_="whisker"),
            dot.style.mark(px, py, title),
        ]
        if label is not None and label_dots:
            drawn.append(
                element(
                    "text", dot.style.name, x=label[0], y=label[1], text_anchor=label[2],
                    class_="series-label",
                )
            )  # fmt: skip
        parts.append(series(dot.style, *drawn))
    return element(
        "svg", *parts, viewBox=f"0 0 {width} {height}", role="img", class_="chart",
        aria_label="Final accuracy against seconds of selection, a point for each method",
    )  # fmt: skip


def _error_bar(x: float, spread: Spread, y: Scale) -> tuple[float, float]:
    std = spread.std or 0.0
    return (
        y(min((spread.mean + std) * 100, y.high)),
        y(max((spread.mean - std) * 100, y.low)),
    )
