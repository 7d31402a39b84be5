"""The accuracy matrix as a uint8 picture, for dashboards that take no SVG."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.reporting.images import Picture
from clcore.errors import ArgumentError


def matrix_picture(matrix: Sequence[Sequence[float | None]], title: str = "") -> Picture:
    """Draw an accuracy matrix.

    Args:
        matrix: Rates; row: after training on experience i; column: test set of experience j;
            None where it was not measured, left blank.
        title: Written above.

    Returns:
        uint8 `[height, width, 3]`.

    Raises:
        ArgumentError: The matrix is empty, or its rows differ in length.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not matrix or not matrix[0] or len({len(row) for row in matrix}) != 1:
        raise ArgumentError("matrix: needs at least one row, and rows of one length")
    values = np.array(
        [[np.nan if value is None else value for value in row] for row in matrix], dtype=float
    )
    rows, columns = values.shape
    figure = Figure(
        figsize=(1.6 + 0.52 * max(columns, 4), 1.3 + 0.52 * max(rows, 3)),
        dpi=110,
        layout="constrained",
    )
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.imshow(np.ma.masked_invalid(values), vmin=0, vmax=1, cmap="Blues", aspect="equal")
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("tested on experience", fontsize=9)
    axes.set_ylabel("trained up to experience", fontsize=9)
    axes.set_xticks(range(columns))
    axes.set_yticks(range(rows))
    axes.tick_params(length=0, labelsize=8)
    axes.spines[:].set_visible(False)
    if max(rows, columns) <= 20:
        for row, column in zip(*np.nonzero(np.isfinite(values)), strict=True):
            value = values[row, column]
            axes.text(
                column, row, f"{value * 100:.0f}", ha="center", va="center", fontsize=8,
                color="white" if value > 0.55 else "#202830",
            )  # fmt: skip
    canvas.draw()
    picture: Picture = np.asarray(canvas.buffer_rgba(), dtype=np.uint8)[..., :3].copy()
    return picture
