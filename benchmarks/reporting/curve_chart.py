"""Average accuracy over experiences, as inline SVG."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from markupsafe import Markup

from benchmarks.reporting.charts import Curve, bounds, frame, series
from benchmarks.reporting.svg import (
    CHARACTER,
    Box,
    Scale,
    element,
    join,
    nice_ticks,
    spread_apart,
)

CROWDED = 6
"""With more curves than this their bands are drawn fainter."""


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
    leaves = _leaves(curve, y)
    parts = []
    if any(point.std for point in points) and not leaves:
        outline = " ".join(f"{px:.2f},{py:.2f}" for px, py in upper + lower[::-1])
        parts.append(element("polygon", points=outline, class_="band"))
    line = " ".join(f"{px:.2f},{py:.2f}" for px, py in until_bottom(middle, y.start))
    parts.append(element("polyline", points=line, class_="line", stroke_dasharray=style.dash))
    parts.extend(
        style.mark(px, py, f"{style.name}, after experience {i + 1}: {points[i].text(scale=100)} %")
        for i, (px, py) in enumerate(middle)
        if py <= y.start
    )
    return join(parts)


def _leaving(curves: Sequence[Curve], x: Scale, y: Scale) -> list[Markup]:
    """Curves that end below the chart, each with its name and end where it leaves."""
    parts = []
    leaving = [curve for curve in curves if _leaves(curve, y)]
    for step, curve in enumerate(leaving):
        middle = [(x(i + 1), y(point.mean * 100)) for i, point in enumerate(curve.points)]
        place = until_bottom(middle, y.start)[-1][0]
        end = f"{curve.style.name} \N{DOWNWARDS ARROW} {curve.points[-1].mean * 100:.1f} %"
        label = element("text", end, x=place + 8, y=y.start - 8 - 16 * step, class_="series-label")
        parts.append(series(curve.style, _draw_curve(curve, x, y, x.stop), label))
    return parts


def _leaves(curve: Curve, y: Scale) -> bool:
    """Whether a curve ends below the chart."""
    return curve.points[-1].mean * 100 < y.low


def until_bottom(points: Sequence[tuple[float, float]], bottom: float) -> list[tuple[float, float]]:
    """A line up to where it first leaves a chart at the bottom.

    Args:
        points: In pixels, y downwards.
        bottom: Pixel of the chart's lower edge.

    Returns:
        The points above the edge, and the one on it where there is one.
    """
    kept = [points[0]]
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if y1 > bottom:
            part = (bottom - y0) / (y1 - y0)
            return [*kept, (x0 + part * (x1 - x0), bottom)]
        kept.append((x1, y1))
    return kept


def curve_bounds(curves: Sequence[Curve]) -> tuple[float, float]:
    """Range of a chart's y axis, in percent.

    Reference points count as long as they leave the methods room to be told apart. Naive training
    usually doesn't: it falls so low that everything else would be one thick line, so it may leave
    the chart at the bottom.

    Args:
        curves: All that is to be drawn.
    """
    whole = bounds([point for curve in curves for point in curve.points])
    methods = [p for curve in curves if curve.style.index is not None for p in curve.points]
    if not methods:
        return whole
    low, high = bounds(methods)
    high = max(high, whole[1])
    return (low, high) if high - low < 0.5 * (high - whole[0]) else (whole[0], high)


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
    low, high = curve_bounds(curves)
    ticks = nice_ticks(low, high, 6)
    longest = max(len(curve.style.name) for curve in curves)
    margin = longest * CHARACTER + 22 if label_ends else 12
    box = Box(48, 30, width - margin, height - 40)
    y = Scale(ticks[0], ticks[-1], box.bottom, box.top)
    x = Scale(1, max(count, 2), box.left + 8, box.right - 8)
    parts = frame(box, y, ticks, "average accuracy on the experiences seen so far")
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
    parts.extend(_leaving(curves, x, y))
    staying = [curve for curve in curves if not _leaves(curve, y)]
    ends = [y(curve.points[-1].mean * 100) for curve in staying]
    labels = spread_apart(ends, 16, box.top, box.bottom)
    for curve, end, label in zip(staying, ends, labels, strict=True):
        drawn = [_draw_curve(curve, x, y, x(count))]
        if label_ends:
            line = f"{x(count) + 6:.1f},{end:.1f} {x(count) + 20:.1f},{label:.1f}"
            text = {"x": x(count) + 24, "y": label + 4, "class_": "series-label"}
            drawn.append(element("polyline", points=line, class_="leader"))
            drawn.append(element("text", curve.style.name, **text))
        parts.append(series(curve.style, *drawn))
    return element(
        "svg", *parts, viewBox=f"0 0 {width} {height}", role="img",
        class_="chart crowded" if len(curves) > CROWDED else "chart",
        aria_label="Average accuracy over experiences, a line for each method",
    )  # fmt: skip
