"""Final accuracy against the cost of selection, as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from benchmarks.reporting.aggregate import Spread
from benchmarks.reporting.charts import Dot, bounds, frame, series
from benchmarks.reporting.svg import Box, Scale, element, log_ticks, nice_ticks, place_labels


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
    low, high = bounds([dot.y for dot in dots])
    y_ticks = nice_ticks(low, high, 6)
    y = Scale(y_ticks[0], y_ticks[-1], box.bottom, box.top)
    lane = box.left + 26
    left = box.left + (72 if free else 24)
    parts = frame(box, y, y_ticks, "final accuracy")
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
            far = math.hypot(label[0] - px, label[1] - 4 - py) > 24
            if far:
                edge = label[1] - 4
                if label[2] == "middle":  # to the text's nearer edge, not through it
                    edge = label[1] + 3 if label[1] < py else label[1] - 12
                drawn.append(element("line", x1=px, y1=py, x2=label[0], y2=edge, class_="leader"))
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
