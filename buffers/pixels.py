"""The commonest pipeline as three operations: uint8 pixels to normalised floats.

Nearly every image stream ends in "to float, then normalise". Walked step by step that costs more in
Python than in arithmetic for a replay batch; here it is one call, bit for bit what torchvision's
steps give.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision import transforms as v1
from torchvision.transforms import v2


class PixelScaling:
    """`(x / 255 − mean) / std` for uint8 images `[n, C, H, W]`.

    Args:
        reciprocal: Whether the pixels are multiplied by 1/255, as torchvision's second generation
            does, or divided by 255, as its first.
        mean: Mean of each channel; None for no normalisation.
        std: Deviation of each channel.
    """

    def __init__(
        self,
        reciprocal: bool,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        self.reciprocal = reciprocal
        self.mean = None if mean is None else torch.tensor(mean).view(-1, 1, 1)
        self.std = None if std is None else torch.tensor(std).view(-1, 1, 1)

    def __call__(self, x: Tensor) -> Tensor:
        """Scale a batch of uint8 images; it is not changed."""
        scaled = x.to(torch.float32)
        scaled = scaled.mul_(1 / 255) if self.reciprocal else scaled.div_(255)
        if self.mean is None or self.std is None:
            return scaled
        if self.mean.device != x.device:
            self.mean, self.std = self.mean.to(x.device), self.std.to(x.device)
        return scaled.sub_(self.mean).div_(self.std)


# On a batch of tensors these change nothing.
_NO_CHANGE = (v1.PILToTensor, v2.PILToTensor, v2.ToImage, v2.ToPureTensor)


def pixel_scaling(steps: Sequence[Any]) -> PixelScaling | None:
    """The one call that does what these steps do to uint8 images, if there is one.

    Args:
        steps: The steps of a pipeline, compositions unfolded.

    Returns:
        None where the steps are any others.
    """
    steps = [step for step in steps if not isinstance(step, _NO_CHANGE)]
    if not 1 <= len(steps) <= 2:
        return None
    first, normalise = steps[0], steps[1] if len(steps) == 2 else None
    if isinstance(first, v1.ToTensor):
        reciprocal, dtype = False, torch.get_default_dtype()
    elif isinstance(first, v1.ConvertImageDtype):
        reciprocal, dtype = False, first.dtype
    elif isinstance(first, v2.ToDtype) and first.scale:
        reciprocal, dtype = True, first.dtype
    else:
        return None
    if dtype is not torch.float32:
        return None
    if normalise is None:
        return PixelScaling(reciprocal)
    if not isinstance(normalise, v1.Normalize | v2.Normalize) or 0 in normalise.std:
        return None
    return PixelScaling(reciprocal, list(normalise.mean), list(normalise.std))
