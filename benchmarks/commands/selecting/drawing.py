"""A picture of what was chosen: all rows small, the picks large."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.commands.selecting.columns import Keys
from benchmarks.commands.selecting.gather import Candidates
from benchmarks.commands.selecting.projection import Plane, project
from benchmarks.commands.selecting.request import Projection
from benchmarks.commands.selecting.summary import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6bb1", "#a6761d",
    "#5b7f1e", "#b3446c",
)  # fmt: skip
"""Ten colours that stay apart, beginning with Okabe and Ito's for colour-blind readers."""

_GREY, _DARK, _GIVEN, _PLAIN = "#b9bdc4", "#1f2430", "#111111", "#e66100"
_CROWD = 3_000
"""Rows above which the background goes into a vector file as one image."""


@dataclass(frozen=True)
class Drawing:
    """A figure and where its picks are.

    Attributes:
        figure: A matplotlib figure.
        places: `[k, 2]`: the picks, in data coordinates.
        radii: `[k]`: of their dots, in points.
    """

    figure: Figure
    places: Any
    radii: Any

    def in_points(self) -> Any:
        """Return the places of the picks in points from the lower left, once drawn."""
        axes = self.figure.axes[0]
        return axes.transData.transform(self.places) * 72.0 / self.figure.dpi


def draw(summary: Summary, candidates: Candidates, projection: Projection, *, seed: int) -> Drawing:
    """Draw a selection.

    Args:
        summary: What was picked, and how well it covers.
        candidates: All rows.
        projection: How they come into the plane.
        seed: Of the sample and the projection.

    Returns:
        The picture.

    Raises:
        ArgumentError: If there are more picks than the projection can take.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    picks, count = summary.coreset.indices, len(summary.coreset)
    always = torch.cat([picks, candidates.given])
    plane = project(candidates.pool.signal("features"), always, projection, seed=seed)
    # Room for the texts, which begin where the axes do.
    layout = ConstrainedLayoutEngine(h_pad=0.07, rect=(0.015, 0.015, 0.97, 0.965))
    figure = Figure(figsize=(8.6, 6.4), dpi=150, layout=layout, facecolor="white")
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_aspect("equal", adjustable="datalim")
    colours, entries = _colours(candidates.labels, plane.rows)
    _background(axes, plane, colours, start=len(always))
    taken = plane.places[count : len(always)]
    if len(taken):
        axes.scatter(taken[:, 0], taken[:, 1], s=46, marker="x", c=_GIVEN, linewidths=1.6, zorder=4)
        entries = [*entries, ("given", _GIVEN, "x")]
    sizes = _sizes(summary.coreset.weights, count)
    # Large dots first, so that small ones are not hidden.
    order = np.argsort(-sizes, kind="stable")
    axes.scatter(
        plane.places[order, 0], plane.places[order, 1], s=sizes[order],
        c=[colours[place] for place in order], edgecolors=_DARK, linewidths=1.1, zorder=5,
    )  # fmt: skip
    _titles(figure, summary, plane)
    _legend(figure, entries, summary.coreset.weights, sizes)
    return Drawing(figure, plane.places[:count], np.sqrt(sizes) / 2)


def save(drawing: Drawing, path: Path, kind: str, summary: Summary) -> None:
    """Write a picture.

    Args:
        drawing: What to write.
        path: Where to.
        kind: `.png`, `.pdf`, `.svg` or `.html`.
        summary: Goes into the page.

    Raises:
        OSError: It can't be written.
    """
    if kind == ".html":
        from benchmarks.commands.selecting.page import page

        path.write_text(page(drawing, summary), encoding="utf-8")
        return
    # Without a date the same selection gives the same file.
    plain = {".png": {"Software": None}, ".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
    drawing.figure.savefig(path, format=kind[1:], metadata=plain[kind])


def _colours(labels: Keys | None, rows: Tensor) -> tuple[list[str], list[tuple[str, str, str]]]:
    """Colour each row by its label, and list what the legend says of it."""
    if labels is None:
        return [_PLAIN] * len(rows), []
    if len(labels.names) > len(PALETTE):
        note = f"{len(labels.names):,} labels, not coloured"
        return [_PLAIN] * len(rows), [(note, "none", "o")]
    colour = dict(zip(labels.names, PALETTE, strict=False))
    entries = [(_short(name), colour[code], "o") for code, name in labels.names.items()]
    return [colour[code] for code in labels.codes[rows].tolist()], entries


def _short(name: str) -> str:
    return name if len(name) <= 24 else f"{name[:23]}…"


def _background(axes: Axes, plane: Plane, colours: list[str], *, start: int) -> None:
    places, shown = plane.places[start:], colours[start:]
    is_plain = len(set(colours)) == 1
    crowded = len(places) > _CROWD
    axes.scatter(
        places[:, 0], places[:, 1], s=5 if crowded else 11, c=_GREY if is_plain else shown,
        alpha=0.35 if crowded else 0.45, linewidths=0, rasterized=crowded, zorder=2,
    )  # fmt: skip


def _sizes(weights: Tensor, count: int) -> Any:
    """Area of each dot, in square points: grows with the weight, within bounds."""
    largest = 24.0 + 276.0 / (1.0 + count / 60.0)
    values = weights.double().numpy()
    if not len(values) or values.max() == values.min():
        return np.full(len(values), largest / 2)
    return np.maximum(9.0, largest * values / values.max())


def _titles(figure: Figure, summary: Summary, plane: Plane) -> None:
    count, rows = len(summary.coreset), summary.rows
    figure.suptitle(
        f"{summary.method}: {count:,} of {rows:,} rows",
        x=0.02, ha="left", fontsize=14, fontweight="bold", color=_DARK,
    )  # fmt: skip
    lines = []
    if summary.chosen is not None and summary.random is not None:
        ours, other = summary.chosen, summary.random
        # Two lines, which stay clear of a wide legend.
        lines = [
            f"mean distance to the nearest pick {ours.mean:.4g}, of a random choice "
            f"{other.mean:.4g}",
            f"covering radius {ours.radius:.4g}, of a random choice {other.radius:.4g}",
        ]
    figure.axes[0].set_title("\n".join(lines), loc="left", fontsize=9.5, color="#4a4f5a")
    figure.supxlabel(
        f"small dots: {plane.caption}", x=0.02, ha="left", fontsize=8.5, color="#6b7079"
    )


def _legend(
    figure: Figure, entries: list[tuple[str, str, str]], weights: Tensor, sizes: Any
) -> None:
    from matplotlib.lines import Line2D

    def mark(name: str, colour: str, marker: str, area: float, edge: str | None) -> Line2D:
        return Line2D(
            [], [], linestyle="none", marker=marker, label=name, markersize=area**0.5,
            markerfacecolor=colour, markeredgecolor=edge or colour,
        )  # fmt: skip

    marks = [mark(name, colour, marker, 36, None) for name, colour, marker in entries]
    face = "white" if entries and entries[0][1] in PALETTE else _PLAIN
    if len(sizes):
        values = weights.double().numpy()
        if values.max() == values.min():
            marks.append(mark("picked", face, "o", float(sizes[0]), _DARK))
        else:
            order = np.argsort(values)
            marks.append(mark("", "none", "o", 1.0, "none"))
            for place in (order[-1], order[len(order) // 2], order[0]):
                name = f"picked, weight {values[place]:.3g}"
                marks.append(mark(name, face, "o", float(sizes[place]), _DARK))
    figure.legend(
        handles=marks, loc="outside right upper", frameon=False, fontsize=9, labelspacing=0.75,
        handletextpad=0.6, borderaxespad=1.0,
    )  # fmt: skip
