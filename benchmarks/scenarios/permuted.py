"""Permuted: each experience shuffles the pixels in its own way (domain-incremental).

Source: Goodfellow, Mirza, Xiao, Courville, Bengio, "An empirical investigation of catastrophic
forgetting in gradient-based neural networks", ICLR 2014; Kirkpatrick et al., PNAS 114(13), 2017.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.datasets import ImageData
from benchmarks.scenarios._base import RowTransform, Scenario
from benchmarks.scenarios._checks import domain_incremental, generator_of
from clcore.checks import whole_number


@dataclass(frozen=True, eq=False)
class PixelPermutation:
    """Moves the pixels of every image alike; the channels of a pixel stay together.

    Attributes:
        order: int64 `[h * w]`: place `i` gets the pixel that was at `order[i]`.
    """

    order: Tensor

    def __call__(self, images: Tensor, rows: Tensor) -> Tensor:
        """Permute images uint8 `[n, c, h, w]`; which rows they are plays no part."""
        return images.flatten(2)[:, :, self.order].view_as(images)


def permuted(
    data: ImageData, experiences: int = 10, *, first_as_is: bool = False, seed: int = 0
) -> Scenario:
    """Permute the pixels, in each experience by another permutation.

    Args:
        data: The data set.
        experiences: Number of experiences.
        first_as_is: Leave the first experience unpermuted (as in Kirkpatrick et al.); otherwise
            every one is permuted (as in Avalanche).
        seed: Seed of the permutations.

    Returns:
        The scenario: each experience holds all the data, training and test images permuted alike.
        Images are permuted when they are asked for.

    Raises:
        ArgumentError: If an argument is out of range.
    """
    generator = generator_of(seed)
    _, height, width = data.image_shape
    transforms: list[RowTransform | None] = []
    for index in range(whole_number("experiences", experiences, least=1)):
        # Drawn for the first as well, so that the others do not depend on `first_as_is`.
        order = torch.randperm(height * width, generator=generator)
        transforms.append(None if first_as_is and index == 0 else PixelPermutation(order))
    return domain_incremental(data, f"permuted {data.name}", transforms)
