"""One picture of a run for a README: accuracy over experiences, and where the methods end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from benchmarks.reporting.aggregate import Summary, aggregate
from benchmarks.reporting.charts import Curve, Style
from benchmarks.reporting.curve_chart import CROWDED, curve_bounds, until_bottom
from benchmarks.reporting.results import Results
from clcore.errors import ArgumentError

COLOURS = (
    "#0072b2", "#c95200", "#00805d", "#a63a82", "#9a6b00", "#2b8fc4", "#5b48b5", "#7d4f2f",
)  # fmt: skip
"""Okabe and Ito's palette for colour-blind readers, darkened so that text in it can be read."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
GREY = "#777777"


def picture(
    results: Results, path: str | os.PathLike[str], *, memory_size: int | None = None
) -> Path:
    """Draw a run as a PNG with two panels.

    Left: average accuracy on the experiences seen so far, with a band of one standard deviation.
    Right: final accuracy by method, with one standard deviation. Naive and joint training are
    grey.

    Args:
        results: What to draw.
        path: The PNG to write.
        memory_size: Which memory size to draw where there are several; the largest by default.

    Returns:
        The file written.

    Raises:
        ArgumentError: There are no runs, or none of this memory size.
        OSError: The file can't be written.
    """
    from matplotlib.figure import Figure

    if not results.runs:
        raise ArgumentError("results: there are no runs to draw")
    summaries = aggregate(results.runs)
    sizes = sorted({summary.memory_size for summary in summaries if not summary.reference})
    size = memory_size if memory_size is not None else sizes[-1] if sizes else 0
    if sizes and size not in sizes:
        raise ArgumentError(f"memory_size: no run has {size}, there are {sizes}")
    shown = [s for s in summaries if s.reference or s.memory_size == size]

    figure = Figure(figsize=(10.5, 4.2), dpi=160, layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    exemplars = f", {size:,} exemplars" if size else ""
    for axes, title in (
        (left, "Average accuracy over experiences"),
        (right, "Final accuracy by method"),
    ):
        axes.set_title(title, loc="left", fontsize=11.5, fontweight="bold", pad=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="both" if axes is left else "x", color="#e8e8e8", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(length=0, labelsize=9.5)
    seeds = {len(summary.seeds) for summary in shown}
    figure.suptitle(
        f"{results.suite}{exemplars}, mean ± std over {'/'.join(map(str, sorted(seeds)))} "
        f"seed{'' if seeds == {1} else 's'}",
        x=0.008, ha="left", fontsize=10, color="#555555",
    )  # fmt: skip
    steps = max(len(summary.curve()) for summary in shown)
    for index, summary in enumerate(shown):
        _draw_curve(left, index, summary, steps, _marker(shown, summary), few=len(shown) <= CROWDED)
    left.set_xlabel("after experience", fontsize=9.5)
    left.set_ylabel("accuracy on what was seen, %", fontsize=9.5)
    left.set_xticks(range(1, steps + 1))
    _leave_room(left, shown)

    order = sorted(shown, key=lambda summary: summary.final_accuracy.mean)
    for place, summary in enumerate(order):
        spread = summary.final_accuracy
        colour = _colour(shown.index(summary), summary)
        right.errorbar(
            spread.mean * 100, place, xerr=(spread.std or 0) * 100, fmt=_marker(shown, summary),
            color=colour, capsize=3, markersize=7,
        )  # fmt: skip
        right.annotate(
            f"{spread.mean * 100:.1f}", (spread.mean * 100, place), xytext=(0, 7),
            textcoords="offset points", ha="center", fontsize=8.5, color="#333333",
        )  # fmt: skip
    # The names on the right are the legend of both panels: same colours, same markers.
    right.set_yticks(range(len(order)), [summary.method for summary in order])
    for label, summary in zip(right.get_yticklabels(), order, strict=True):
        label.set_color(_colour(shown.index(summary), summary))
    right.set_ylim(-0.6, len(order) - 0.3)
    right.margins(x=0.08)
    right.set_xlabel("%", fontsize=9.5)

    target = Path(path)
    figure.savefig(target, format="png")
    return target


def _leave_room(axes: Any, shown: list[Summary]) -> None:
    """Let what falls far below the methods, as naive training does, leave at the bottom."""
    curves = [Curve(Style(s.method, None if s.reference else 0), s.curve()) for s in shown]
    low, high = curve_bounds(curves)
    bottom = low - 0.06 * (high - low)
    leaving = [s for s in shown if s.reference and s.curve()[-1].mean * 100 < bottom]
    if not leaving:
        return
    axes.set_ylim(bottom, high + 0.04 * (high - low))
    for step, summary in enumerate(leaving):
        line = [(i + 1.0, -point.mean * 100) for i, point in enumerate(summary.curve())]
        end = f"{summary.method} \N{DOWNWARDS ARROW} {summary.curve()[-1].mean * 100:.1f}"
        axes.annotate(
            end, (until_bottom(line, -bottom)[-1][0], bottom), xytext=(6, 6 + 11 * step),
            textcoords="offset points", fontsize=8.5, color=GREY,
        )  # fmt: skip


def _colour(index: int, summary: Summary) -> str:
    return GREY if summary.reference else COLOURS[index % len(COLOURS)]


def _marker(shown: list[Summary], summary: Summary) -> str:
    if summary.reference:
        return "x" if summary.method == "naive" else "+"
    index = shown.index(summary)
    return MARKERS[(index + index // len(COLOURS)) % len(MARKERS)]


def _draw_curve(
    axes: Any, index: int, summary: Summary, length: int, marker: str, *, few: bool
) -> None:
    curve = summary.curve()
    if len(curve) == 1:  # joint training is measured once, at the end
        curve = curve * length
    steps = range(1, len(curve) + 1)
    means = [point.mean * 100 for point in curve]
    stds = [(point.std or 0.0) * 100 for point in curve]
    colour = _colour(index, summary)
    style = {"joint": ":", "naive": "--"}.get(summary.method, "-")
    axes.plot(
        steps, means, style, color=colour, linewidth=1.8,
        marker=marker, markersize=4.5,
    )  # fmt: skip
    axes.fill_between(
        steps,
        [mean - std for mean, std in zip(means, stds, strict=True)],
        [mean + std for mean, std in zip(means, stds, strict=True)],
        color=colour, alpha=0.13 if few else 0.06, linewidth=0,
    )  # fmt: skip
