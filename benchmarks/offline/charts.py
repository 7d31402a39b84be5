"""Charts of the offline page, as inline SVG: how weights are spread, shares of classes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from benchmarks.offline.record import Weights
from benchmarks.reporting.heat import heat_cell
from benchmarks.reporting.svg import CHARACTER, Box, Scale, element, nice_ticks


def weights_chart(weights: Weights, title: str) -> Markup:
    """How the weights of a coreset are spread.

    Args:
        weights: Their histogram; a weight of 1 is what every row would have at random.
        title: What it shows, for screen readers and tooltips.

    Returns:
        An `svg` element of natural size.
    """
    width, height = 280, 150
    box = Box(8, 12, width - 8, height - 34)
    most = max(weights.counts) or 1
    x = Scale(weights.edges[0], weights.edges[-1], box.left, box.right)
    parts = []
    for left, right, count in zip(
        weights.edges[:-1], weights.edges[1:], weights.counts, strict=True
    ):
        # By logarithm, so that the few heavy rows can be seen beside the many light ones.
        share = math.log1p(count) / math.log1p(most)
        tall = share * (box.bottom - box.top)
        tip = f"{title}: {count} rows weigh {left:.2f} to {right:.2f}"
        parts.append(
            element("rect", element("title", tip), x=x(left) + 0.5, y=box.bottom - tall,
                    width=max(x(right) - x(left) - 1, 0.5), height=tall, class_="bar-fill")
        )  # fmt: skip
    parts.append(
        element("line", x1=box.left, x2=box.right, y1=box.bottom, y2=box.bottom, class_="grid")
    )
    one = x(1.0)
    parts.append(element("line", x1=one, x2=one, y1=box.top, y2=box.bottom, class_="grid lane"))
    parts.extend(
        element("text", f"{tick:g}", x=x(tick), y=box.bottom + 15, text_anchor="middle",
                class_="tick")
        for tick in nice_ticks(0.0, weights.edges[-1], 5)
        if tick <= weights.edges[-1]
    )  # fmt: skip
    parts.append(
        element("text", "weight", x=(box.left + box.right) / 2, y=height - 3,
                text_anchor="middle", class_="axis-title")
    )  # fmt: skip
    return element(
        "svg", *parts, viewBox=f"0 0 {width} {height}", width=width, height=height, role="img",
        class_="map", aria_label=f"Histogram of the weights of {title}",
    )  # fmt: skip


def class_chart(
    columns: Sequence[tuple[str, Sequence[float]]], names: Sequence[str], title: str
) -> Markup:
    """Shares of the classes, a column for each method.

    Args:
        columns: Name and the share of each class, summing to 1.
        names: Names of the classes.
        title: What it shows, for screen readers.

    Returns:
        An `svg` element of natural size.
    """
    wide, tall = 46.0, 22.0
    shown = [name if len(name) <= 14 else name[:13] + "…" for name in names]
    left = max(len(name) for name in shown) * CHARACTER + 12
    longest = max(len(name) for name, _ in columns)
    top = longest * CHARACTER * 0.72 + 18
    most = max((share for _, shares in columns for share in shares), default=0.0) or 1.0
    parts = [
        element("text", name, x=left - 8, y=top + row * tall + tall / 2 + 4, text_anchor="end",
                class_="tick")
        for row, name in enumerate(shown)
    ]  # fmt: skip
    for column, (name, shares) in enumerate(columns):
        middle = left + (column + 0.5) * wide
        parts.append(
            element("text", name, x=0, y=0, class_="tick",
                    transform=f"translate({middle:.1f} {top - 7:.1f}) rotate(-45)")
        )  # fmt: skip
        for row, share in enumerate(shares):
            tip = f"{name}: {share * 100:.1f} % are of class {names[row]}"
            parts.extend(
                heat_cell(left + column * wide, top + row * tall, wide, tall, share / most,
                          f"{share * 100:.1f}", tip)
            )  # fmt: skip
    width = left + len(columns) * wide + longest * CHARACTER * 0.72
    height = top + len(names) * tall + 4
    return element(
        "svg", *parts, viewBox=f"0 0 {width:.0f} {height:.0f}", width=round(width),
        height=round(height), role="img", class_="map", aria_label=title,
    )  # fmt: skip
