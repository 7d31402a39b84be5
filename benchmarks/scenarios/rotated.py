"""Rotated: each experience turns the images by its own angle (domain-incremental).

Source: Lopez-Paz and Ranzato, "Gradient episodic memory for continual learning", NeurIPS 2017.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.datasets import ImageData
from benchmarks.scenarios._base import Scenario
from benchmarks.scenarios._checks import domain_incremental, generator_of
from clcore.checks import whole_number
from clcore.errors import ArgumentError

Interpolation = Literal["nearest", "bilinear", "bicubic"]
_INTERPOLATIONS = ("nearest", "bilinear", "bicubic")
_CHUNK = 1024  # images turned at once: bounds the float copy


@dataclass(frozen=True, eq=False)
class Rotation:
    """Turns images counter-clockwise about their centre; what comes from outside is black.

    Attributes:
        angle: Degrees.
        interpolation: How a value between pixels is found.
    """

    angle: float
    interpolation: Interpolation = "bilinear"
    _grids: dict[tuple[int, int], Tensor] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, images: Tensor, rows: Tensor) -> Tensor:
        """Turn images uint8 `[n, c, h, w]`; which rows they are plays no part."""
        if self.angle % 360 == 0:
            return images
        grid = self._grid(images.shape[-2], images.shape[-1])
        return torch.cat([self._turn(chunk, grid) for chunk in torch.split(images, _CHUNK)])

    def _turn(self, images: Tensor, grid: Tensor) -> Tensor:
        # One grid for all: the images go through as channels of one image.
        stacked = images.flatten(0, 1).unsqueeze(0).to(torch.float32)
        turned = functional.grid_sample(
            stacked, grid, mode=self.interpolation, padding_mode="zeros", align_corners=False
        )
        return turned.round_().clamp_(0, 255).to(torch.uint8).view_as(images)

    def _grid(self, height: int, width: int) -> Tensor:
        size = (height, width)
        if size not in self._grids:
            radians = math.radians(self.angle)
            cosine, sine = math.cos(radians), math.sin(radians)
            # Coordinates run from -1 to 1 on both axes, so an oblong image needs its aspect.
            matrix = [
                [cosine, -sine * height / width, 0.0],
                [sine * width / height, cosine, 0.0],
            ]
            self._grids[size] = functional.affine_grid(
                torch.tensor([matrix]), [1, 1, height, width], align_corners=False
            )
        return self._grids[size]


def rotated(
    data: ImageData,
    experiences: int = 10,
    *,
    angles: str | Sequence[float] = "even",
    interpolation: Interpolation = "bilinear",
    seed: int = 0,
) -> Scenario:
    """Rotate the images, in each experience by another angle.

    Args:
        data: The data set.
        experiences: Number of experiences.
        angles: `"even"`: `i * 180 / experiences` (20 experiences give steps of 9 degrees, as in
            Yoon et al., "Online coreset selection", ICLR 2022); `"random"`: uniform in 0 to 180 by
            `seed`; or one angle in degrees an experience.
        interpolation: `"nearest"` (as in Lopez-Paz and Ranzato), `"bilinear"` or `"bicubic"`.
        seed: Seed of random angles.

    Returns:
        The scenario: each experience holds all the data, training and test images turned alike.
        Images are turned when they are asked for.

    Raises:
        ArgumentError: If an argument is out of range.
    """
    count = whole_number("experiences", experiences, least=1)
    if interpolation not in _INTERPOLATIONS:
        raise ArgumentError(f"interpolation is {interpolation!r}; allowed are {_INTERPOLATIONS}")
    if isinstance(angles, str):
        if angles == "even":
            degrees = [index * 180 / count for index in range(count)]
        elif angles == "random":
            degrees = (torch.rand(count, generator=generator_of(seed)) * 180).tolist()
        else:
            raise ArgumentError(f"angles is {angles!r}; allowed are 'even', 'random' and a list")
    else:
        degrees = [float(angle) for angle in angles]
        if len(degrees) != count or not all(math.isfinite(angle) for angle in degrees):
            raise ArgumentError(
                f"angles is {degrees}; wanted {count} finite numbers, one an experience"
            )
    transforms = [Rotation(angle, interpolation) for angle in degrees]
    return domain_incremental(data, f"rotated {data.name}", transforms)
