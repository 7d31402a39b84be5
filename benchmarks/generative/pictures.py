"""Pictures of what a generator makes: a grid of images, or points on the plane with their modes."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from benchmarks.reporting.images import exemplar_grid, write_picture
from clcore.errors import ArgumentError, SignalError

LAST = "samples.png"
"""The picture at the end of a cell, in its folder."""

COLUMNS = 8
"""Images a row of a grid."""

MOST_POINTS = 2000
"""Points drawn at most: more would be a blot."""


def picture_name(steps: int) -> str:
    """Name of the picture of one point of the course, in the cell's folder.

    Args:
        steps: Steps of training so far.
    """
    return f"samples-{steps:06d}.png"


def draw_images(images: Tensor, file: Path, *, low: float, high: float) -> Path:
    """Draw generated images in rows of `COLUMNS`.

    The range is given, not taken from the images, so that pictures of one course can be compared.

    Args:
        images: Floating-point `[n, c, h, w]` with 1 or 3 channels.
        file: The PNG to write.
        low: Value drawn black; what lies below is black, too.
        high: Value drawn white; what lies above is white, too.

    Returns:
        The file written.

    Raises:
        ArgumentError: No images, not floating-point, or no range.
        SignalError: An image holds NaN or infinity.
        OSError: The file can't be written.
    """
    if not images.is_floating_point():
        raise ArgumentError(f"images: floating-point is needed, not {images.dtype}")
    if not low < high:
        raise ArgumentError(f"low and high: low must be below high, not {low!r} and {high!r}")
    _finite("images", images)
    scaled = ((images.detach().cpu().double() - low) / (high - low)).clamp(0.0, 1.0)
    pixels = (scaled * 255).round().to(torch.uint8)
    rows = torch.arange(len(pixels)) // COLUMNS
    return write_picture(exemplar_grid(pixels, rows, columns=COLUMNS), file)


def draw_modes(points: Tensor, modes: Tensor, file: Path, *, radius: float) -> Path:
    """Draw generated points and a circle around each mode.

    Args:
        points: Floating-point `[n, 2]`; the first `MOST_POINTS` are drawn.
        modes: `[m, 2]`: the centres.
        file: The PNG to write.
        radius: Of the circles: up to there a sample counts as good.

    Returns:
        The file written.

    Raises:
        ArgumentError: Not points on a plane, or the radius is not above 0.
        SignalError: A point is NaN or infinite.
        OSError: The file can't be written.
    """
    from matplotlib.collections import EllipseCollection
    from matplotlib.figure import Figure

    for name, given in (("points", points), ("modes", modes)):
        if given.ndim != 2 or given.shape[1] != 2 or len(given) == 0:
            raise ArgumentError(f"{name}: [n, 2] with at least one row, not {tuple(given.shape)}")
    if not radius > 0:
        raise ArgumentError(f"radius: above 0 is needed, not {radius!r}")
    _finite("points", points)
    shown = points[:MOST_POINTS].detach().cpu().double().numpy()
    centres = modes.detach().cpu().double().numpy()
    # A frame that depends on the modes alone, so that pictures of one course can be compared.
    span = float((centres.max(axis=0) - centres.min(axis=0)).max()) or 8.0 * radius
    middle = (centres.max(axis=0) + centres.min(axis=0)) / 2
    reach = span / 2 * 1.25
    figure = Figure(figsize=(3.2, 3.2), dpi=120, facecolor="white")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(middle[0] - reach, middle[0] + reach)
    axes.set_ylim(middle[1] - reach, middle[1] + reach)
    sizes = [2 * radius] * len(centres)
    axes.add_collection(
        EllipseCollection(
            sizes, sizes, [0.0] * len(centres), units="xy", offsets=centres,
            offset_transform=axes.transData, facecolors="none", edgecolors="#777777",
            linewidths=0.8,
        )
    )  # fmt: skip
    axes.scatter(shown[:, 0], shown[:, 1], s=3.0, c="#0072b2", alpha=0.45, linewidths=0)
    # Without the version of the library: equal points make equal bytes.
    figure.savefig(file, format="png", metadata={"Software": None})
    return file


def _finite(name: str, values: Tensor) -> None:
    good = values.isfinite().flatten(1).all(dim=1)
    if not bool(good.all()):
        row = int((~good).nonzero()[0])
        raise SignalError(f"{name}: row {row} holds NaN or infinity")
