"""Exemplars as one uint8 picture: a row for each class.

wandb takes float images for 0 to 255 and so stores those in [0, 1] all black. Everything that
becomes a picture here goes through this helper and leaves it as uint8.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from clcore.errors import ArgumentError, SignalError

Picture: TypeAlias = npt.NDArray[np.uint8]
"""uint8 [height, width, 3]."""

BACKGROUND = 96
"""Grey level of the gaps, told apart from both black and white images."""


def is_image_batch(x: Tensor) -> bool:
    """Whether rows of `x` can be drawn: `[n, c, h, w]` with 1 or 3 channels, or `[n, h, w]`."""
    drawable = x.dtype == torch.uint8 or x.is_floating_point()
    return drawable and (x.dim() == 3 or (x.dim() == 4 and x.shape[1] in (1, 3)))


def to_pictures(x: Tensor) -> Picture:
    """Turn a batch of images into uint8 pictures.

    Args:
        x: `[n, c, h, w]` with 1 or 3 channels, or `[n, h, w]`; uint8 is taken as it is, floats
            are stretched so that the least value of the whole batch is 0 and the greatest 255.

    Returns:
        uint8 `[n, h, w, 3]`; grey images have three equal channels.

    Raises:
        ArgumentError: Not images, or of another data type.
        SignalError: A float image holds NaN or infinity.
    """
    if not is_image_batch(x):
        raise ArgumentError(
            f"x: {x.dtype} of shape {tuple(x.shape)} are no images; allowed are uint8 or floats "
            "of shape [n, 1 or 3, h, w] or [n, h, w]"
        )
    images = x.detach().cpu()
    if images.dim() == 3:
        images = images.unsqueeze(1)
    if images.is_floating_point():
        images = images.double()
        finite = images.isfinite().flatten(1).all(dim=1)
        if not bool(finite.all()):
            row = int((~finite).nonzero()[0])
            raise SignalError(f"x: the image in row {row} holds NaN or infinity")
        if images.numel():
            low, high = images.amin(), images.amax()
            images = (images - low) / (high - low if high > low else 1.0)
        images = (images * 255).round().to(torch.uint8)
    picture: Picture = images.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).contiguous().numpy()
    return picture


def exemplar_grid(
    x: Tensor, y: Tensor, *, columns: int = 10, min_side: int = 28, gap: int = 2
) -> Picture:
    """Lay exemplars out in a grid: one row a class, ascending, the first `columns` of each.

    Args:
        x: Images as `to_pictures` takes them, `[n, …]`.
        y: Integer labels, `[n]`.
        columns: Images a row at most.
        min_side: Small images are enlarged by a whole factor until their shorter side has at
            least so many pixels.
        gap: Pixels between and around the images.

    Returns:
        uint8 `[height, width, 3]`.

    Raises:
        ArgumentError: No images, lengths that differ, or a size below 1.
        SignalError: A float image holds NaN or infinity.
    """
    if len(x) == 0 or len(x) != len(y):
        raise ArgumentError(f"x and y: need one label an image, got {len(x)} and {len(y)}")
    if columns < 1 or min_side < 1 or gap < 0:
        raise ArgumentError(
            f"columns, min_side and gap: at least 1, 1 and 0, not {columns}, {min_side}, {gap}"
        )
    pictures = to_pictures(x)
    factor = -(-min_side // min(pictures.shape[1:3]))
    height, width = pictures.shape[1] * factor, pictures.shape[2] * factor
    rows = [
        (y.cpu() == label).nonzero().flatten()[:columns].tolist()
        for label in torch.unique(y.cpu()).tolist()
    ]
    across = max(len(row) for row in rows)
    grid = np.full(
        (len(rows) * (height + gap) + gap, across * (width + gap) + gap, 3), BACKGROUND, np.uint8
    )
    for line, row in enumerate(rows):
        for place, index in enumerate(row):
            top, left = gap + line * (height + gap), gap + place * (width + gap)
            big = pictures[index].repeat(factor, axis=0).repeat(factor, axis=1)
            grid[top : top + height, left : left + width] = big
    return grid


def write_picture(picture: Picture, path: str | os.PathLike[str]) -> Path:
    """Save a picture as PNG.

    Args:
        picture: uint8 `[height, width, 3]`.
        path: Where to.

    Returns:
        The file written.

    Raises:
        ArgumentError: Not uint8 of that shape.
        OSError: The file can't be written.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ArgumentError(
            f"picture: {picture.dtype} of shape {picture.shape}; needs uint8 [height, width, 3]"
        )
    target = Path(path)
    Image.fromarray(picture).save(target, format="PNG")
    return target


def read_picture(path: str | os.PathLike[str]) -> Picture:
    """Read a picture file as uint8 `[height, width, 3]`.

    Raises:
        OSError: Not there, or no picture.
    """
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), dtype=np.uint8)
