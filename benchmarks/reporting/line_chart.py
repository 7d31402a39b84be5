"""Lines with bands over time, steps or whatever else, as inline SVG."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from benchmarks.reporting.aggregate import Spread
from benchmarks.reporting.charts import Style, frame, series
from benchmarks.reporting.curve_chart import CROWDED
from benchmarks.reporting.svg import (
    CHARACTER,
    Box,
    Scale,
    element,
    join,
    log_ticks,
    nice_ticks,
    place_labels,
)

SIZES = ((940, 440, True), (350, 300, False))
"""Width, height and whether names stand at the lines' ends: for a desk and for a phone."""

MOST_END_LABELS = 14
"""With more lines than this, names at the lines' ends would be a wall of text."""

MOST_MARKS = 40
"""A line of more points is drawn without marks: they would touch."""


@dataclass(frozen=True)
class Line:
    """A line with a band of one standard deviation.

    Args:
        style: Look and name.
        points: Place on the horizontal axis, and value.
    """

    style: Style
    points: Sequence[tuple[float, Spread]]


@dataclass(frozen=True)
class Axis:
    """A horizontal or vertical axis.

    Args:
        title: What it shows.
        unit: After each number.
        logarithmic: Whether equal ratios take equal room.
        ticks: Places of the labels; None: round numbers.
    """

    title: str
    unit: str = ""
    logarithmic: bool = False
    ticks: Sequence[float] | None = None


def line_charts(lines: Sequence[Line], x: Axis, y: Axis) -> list[Markup]:
    """The same chart for a desk and for a phone.

    Args:
        lines: See `line_chart`.
        x: Horizontal axis.
        y: Vertical axis.
    """
    few = len(lines) <= MOST_END_LABELS
    return [
        line_chart(lines, x, y, width=width, height=height, label_ends=ends and few)
        for width, height, ends in SIZES
    ]


def line_chart(
    lines: Sequence[Line], x: Axis, y: Axis, *, width: int, height: int, label_ends: bool
) -> Markup:
    """Lines with bands.

    Args:
        lines: At least one with a point; where an axis is logarithmic, what is not above 0 is
            left out.
        x: Horizontal axis.
        y: Vertical axis.
        width: Pixels.
        height: Pixels.
        label_ends: Whether to write each name at the end of its line.

    Returns:
        An `svg` element; empty markup where nothing can be drawn.
    """
    drawable = [Line(line.style, _drawable(line, x, y)) for line in lines]
    drawable = [line for line in drawable if line.points]
    if not drawable:
        return Markup("")
    longest = max(len(line.style.name) for line in drawable)
    # Lines end anywhere, so names stand where there is room beside the ends; some of the longest
    # may be at the right edge.
    box = Box(58, 30, width - (longest * CHARACTER * 0.6 if label_ends else 14), height - 40)
    across = _scale(x, [place for line in drawable for place, _ in line.points],
                    box.left + 8, box.right - 8)  # fmt: skip
    means = [value.mean for line in drawable for _, value in line.points]
    up, y_ticks = _scale_and_ticks(y, means, box.bottom, box.top)
    parts = frame(box, up, y_ticks, y.title, unit=y.unit)
    parts += _horizontal(x, across, box, height)
    ends = [(across(line.points[-1][0]), up(line.points[-1][1].mean)) for line in drawable]
    names = [line.style.name if label_ends else "" for line in drawable]
    room = Box(box.left, box.top - 12, width, box.bottom)
    labels = place_labels(ends, names, room, _taken(drawable, across, up))
    for line, (right, end), label in zip(drawable, ends, labels, strict=True):
        drawn = [_draw(line, across, up, box)]
        if label_ends and label is not None:
            if math.hypot(label[0] - right, label[1] - 4 - end) > 24:
                drawn.append(
                    element("line", x1=right, y1=end, x2=label[0], y2=label[1] - 4,
                            class_="leader")
                )  # fmt: skip
            drawn.append(
                element("text", line.style.name, x=label[0], y=label[1], text_anchor=label[2],
                        class_="series-label")
            )  # fmt: skip
        parts.append(series(line.style, *drawn))
    return element(
        "svg", *parts, viewBox=f"0 0 {width} {height}", role="img",
        class_="chart crowded" if len(drawable) > CROWDED else "chart",
        aria_label=f"{y.title} against {x.title}, a line for each method",
    )  # fmt: skip


def _taken(lines: Sequence[Line], x: Scale, y: Scale) -> list[Box]:
    """Where the lines run, as boxes every few pixels."""
    boxes = []
    for line in lines:
        places = [(x(place), y(value.mean)) for place, value in line.points]
        for (left, top), (right, bottom) in itertools.pairwise(places):
            steps = max(1, math.ceil(math.hypot(right - left, bottom - top) / 8))
            boxes += [
                Box(px - 2, py - 2, px + 2, py + 2)
                for step in range(steps)
                for px, py in [(left + (right - left) * step / steps,
                                top + (bottom - top) * step / steps)]
            ]  # fmt: skip
    return boxes


def _drawable(line: Line, x: Axis, y: Axis) -> list[tuple[float, Spread]]:
    return [
        (place, value)
        for place, value in line.points
        if not (x.logarithmic and place <= 0) and not (y.logarithmic and value.mean <= 0)
    ]


def _scale_and_ticks(
    axis: Axis, values: Sequence[float], start: float, stop: float
) -> tuple[Scale, list[float]]:
    low, high = min(values), max(values)
    if axis.ticks is not None:
        ticks = list(axis.ticks)
    elif axis.logarithmic:
        low, high = low / 1.06, high * 1.06
        ticks = _inner_log_ticks(low, high)
        if len(ticks) < 2:
            ticks = log_ticks(low, high)
        else:
            return Scale(low, high, start, stop, logarithmic=True), ticks
    else:
        ticks = nice_ticks(low, high, 6)
    return Scale(ticks[0], ticks[-1], start, stop, axis.logarithmic), ticks


def _scale(axis: Axis, values: Sequence[float], start: float, stop: float) -> Scale:
    """A horizontal scale that ends where the values do: round ends would waste room."""
    low, high = min(values), max(values)
    if low == high:
        low, high = (low / 2, high * 2) if axis.logarithmic else (low - 1, high + 1)
    return Scale(low, high, start, stop, axis.logarithmic)


def _horizontal(axis: Axis, scale: Scale, box: Box, height: int) -> list[Markup]:
    if axis.ticks is not None:
        ticks = list(axis.ticks)
    elif axis.logarithmic:
        ticks = _inner_log_ticks(scale.low, scale.high)
    else:
        ticks = [t for t in nice_ticks(scale.low, scale.high, 6) if scale.low <= t <= scale.high]
    parts = []
    last = -math.inf
    for tick in ticks:
        text = f"{tick:g}{axis.unit}"
        place = scale(tick)
        if place - last < len(text) * CHARACTER + 8:  # no room
            continue
        last = place
        parts.append(
            element("line", x1=place, x2=place, y1=box.bottom, y2=box.bottom + 4, class_="grid")
        )
        parts.append(
            element("text", text, x=place, y=box.bottom + 18, text_anchor="middle", class_="tick")
        )
    parts.append(
        element(
            "text", axis.title, x=(box.left + box.right) / 2, y=height - 4, text_anchor="middle",
            class_="axis-title",
        )
    )  # fmt: skip
    return parts


def _inner_log_ticks(low: float, high: float) -> list[float]:
    """1-2-5 numbers inside a range, or powers of ten where it spans more than three decades."""
    factors = (1, 2, 5) if high / low < 1000 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [factor * 10.0**power for power in powers for factor in factors]
    return [tick for tick in found if low <= tick <= high]


def _draw(line: Line, x: Scale, y: Scale, box: Box) -> Markup:
    style = line.style

    def inside(value: float) -> float:
        floor = y.low if y.logarithmic else -math.inf
        return min(max(y(max(value, floor)), box.top), box.bottom)

    middle = [(x(place), inside(value.mean)) for place, value in line.points]
    parts = []
    if any(value.std for _, value in line.points) and len(line.points) > 1:
        upper = [(x(p), inside(v.mean + (v.std or 0.0))) for p, v in line.points]
        lower = [(x(p), inside(v.mean - (v.std or 0.0))) for p, v in line.points]
        outline = " ".join(f"{px:.2f},{py:.2f}" for px, py in upper + lower[::-1])
        parts.append(element("polygon", points=outline, class_="band"))
    path = " ".join(f"{px:.2f},{py:.2f}" for px, py in middle)
    parts.append(element("polyline", points=path, class_="line", stroke_dasharray=style.dash))
    marked = middle if len(middle) <= MOST_MARKS else middle[-1:]
    values = line.points[-len(marked) :]
    parts.extend(
        style.mark(px, py, f"{style.name}: {_short(value.mean)} at {_short(place)}")
        for (px, py), (place, value) in zip(marked, values, strict=True)
    )
    return join(parts)


def _short(value: float) -> str:
    return f"{value:.3g}"
