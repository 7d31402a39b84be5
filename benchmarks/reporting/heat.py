"""Heat maps as inline SVG: accuracy matrices and what a memory is made of."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from benchmarks.reporting.svg import CHARACTER, element
from benchmarks.reporting.table import quantity


def heat_cell(
    left: float, top: float, width: float, height: float, part: float, text: str, title: str
) -> list[Markup]:
    """One coloured cell; `part` in [0, 1] says how dark."""
    part = min(max(part, 0.0), 1.0)
    cell = [
        element(
            "rect",
            element("title", title),
            x=left,
            y=top,
            width=width - 1,
            height=height - 1,
            class_="heat",
            style=f"--part:{part * 100:.0f}%",
        )
    ]
    if text:
        cell.append(
            element(
                "text",
                text,
                x=left + (width - 1) / 2,
                y=top + height / 2 + 4,
                text_anchor="middle",
                class_="on-strong" if part > 0.6 else "on-weak",
            )
        )
    return cell


def matrix_chart(matrix: Sequence[Sequence[float]], title: str) -> Markup:
    """An accuracy matrix.

    Args:
        matrix: Rates; row: after training on experience i; column: test set of experience j.
        title: What it shows, for screen readers and tooltips.

    Returns:
        An `svg` element of natural size. The stepped line parts what was learned from what was
        not yet.
    """
    rows, columns = len(matrix), len(matrix[0])
    side = max(14.0, min(38.0, 300 / max(rows, columns)))
    left, top = 40.0, 34.0
    parts = [
        element("text", "tested on", x=left + columns * side / 2, y=12, text_anchor="middle",
                class_="axis-title"),
    ]  # fmt: skip
    if rows > 1:
        middle = top + max(rows, 3) * side / 2
        parts.append(
            element("text", "trained up to", x=0, y=0, class_="axis-title", text_anchor="middle",
                    transform=f"translate(11 {middle:.1f}) rotate(-90)")
        )  # fmt: skip
    every = 1 if side >= 20 else 2 if side >= 16 else 5
    for column in range(0, columns, every):
        x = left + (column + 0.5) * side
        parts.append(
            element("text", str(column + 1), x=x, y=top - 6, text_anchor="middle", class_="tick")
        )
    parts.extend(
        element("text", "all" if rows == 1 < columns else str(row + 1), x=left - 7,
                y=top + (row + 0.5) * side + 4, text_anchor="end", class_="tick")
        for row in range(0, rows, every)
    )  # fmt: skip
    for row, line in enumerate(matrix):
        for column, value in enumerate(line):
            tip = f"{title}: after {row + 1}, tested on {column + 1}: {value * 100:.1f} %"
            text = f"{value * 100:.0f}" if side >= 24 else ""
            parts.extend(
                heat_cell(left + column * side, top + row * side, side, side, value, text, tip)
            )
    if rows > 1 and rows == columns:
        steps = f"M{left + side - 0.5:.2f} {top - 0.5:.2f}"
        for row in range(rows - 1):
            steps += f"V{top + (row + 1) * side - 0.5:.2f}H{left + (row + 2) * side - 0.5:.2f}"
        parts.append(element("path", d=steps, class_="step"))
    width, height = left + columns * side + 2, top + max(rows, 3) * side + 4
    return element(
        "svg", *parts, viewBox=f"0 0 {width:.0f} {height:.0f}", width=round(width),
        height=round(height), role="img", class_="map", aria_label=f"Accuracy matrix of {title}",
    )  # fmt: skip


def composition_chart(
    counts: Sequence[dict[str, int]], names: dict[str, str], title: str
) -> Markup:
    """How many exemplars of each class a memory holds, over the experiences.

    Args:
        counts: One mapping from label to count an experience.
        names: Label to printed name; its order is that of the rows.
        title: What it shows, for screen readers and tooltips.

    Returns:
        An `svg` element of natural size; the last row is the total.
    """
    columns = len(counts)
    width = max(16.0, min(42.0, 300 / columns))
    height = 22.0 if len(names) <= 20 else 9.0
    texts = height >= 20 and width >= 30
    labels = {label: name if len(name) <= 14 else name[:13] + "…" for label, name in names.items()}
    left = max(len(name) for name in [*labels.values(), "total"]) * CHARACTER + 12
    top = 34.0
    most = max((count for column in counts for count in column.values()), default=0) or 1
    parts = [
        element("text", "after experience", x=left + columns * width / 2, y=12,
                text_anchor="middle", class_="axis-title")
    ]  # fmt: skip
    every = 1 if width >= 20 else 2
    parts.extend(
        element("text", str(index + 1), x=left + (index + 0.5) * width, y=top - 6,
                text_anchor="middle", class_="tick")
        for index in range(0, columns, every)
    )  # fmt: skip
    skip = 1 if height >= 20 else 10
    for row, (label, name) in enumerate(labels.items()):
        y = top + row * height
        if row % skip == 0:
            parts.append(
                element("text", name, x=left - 8, y=y + height / 2 + 4, text_anchor="end",
                        class_="tick")
            )  # fmt: skip
        for index, column in enumerate(counts):
            count = column.get(label, 0)
            tip = f"{title}, after experience {index + 1}: {count} of class {names[label]}"
            text = quantity(count) if texts and count else ""
            parts.extend(heat_cell(left + index * width, y, width, height, count / most, text, tip))
    bottom = top + len(labels) * height
    parts.append(
        element("text", "total", x=left - 8, y=bottom + 18, text_anchor="end",
                class_="axis-title")
    )  # fmt: skip
    if width >= 20:
        for index, column in enumerate(counts):
            parts.append(
                element("text", quantity(sum(column.values())), x=left + (index + 0.5) * width,
                        y=bottom + 18, text_anchor="middle", class_="tick")
            )  # fmt: skip
    full = left + columns * width + 2
    return element(
        "svg", *parts, viewBox=f"0 0 {full:.0f} {bottom + 26:.0f}", width=round(full),
        height=round(bottom + 26), role="img", class_="map",
        aria_label=f"Classes in the memory of {title}",
    )  # fmt: skip
