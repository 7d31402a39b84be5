"""Random views of samples, batched: what a model is asked about to see how sure of a sample it is.

Samples come as the model gets them, so the range of the pixels is not known and nothing is clamped;
brightness and contrast are in units of each image's own mean and standard deviation. Draws come
from torch's global generator, which `clcore.Perturbation` seeds and restores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from clcore.errors import ArgumentError


@dataclass(frozen=True)
class RandomViews:
    """Shifted, turned, lit and covered images; vectors with noise.

    Args:
        shift: The largest shift, as a share of the image's side; the border is repeated.
        rotation: The largest turn in degrees, either way.
        light: The largest change of brightness, in standard deviations of the image, and of
            contrast, as a share.
        cover: The largest side of a square that is covered by the image's mean, as a share of
            the image's side.
        flip: Whether half the images are mirrored left to right. Not for digits and letters.
        noise: For vectors: standard deviation of Gaussian noise, as a share of that of the column
            in the batch.

    Raises:
        ArgumentError: A number is negative or not finite, or `flip` is no bool.

    Example:
        >>> RandomViews()(torch.rand(5, 1, 28, 28)).shape
        torch.Size([5, 1, 28, 28])
    """

    shift: float = 0.04
    rotation: float = 15.0
    light: float = 0.3
    cover: float = 0.5
    flip: bool = False
    noise: float = 0.5

    def __post_init__(self) -> None:
        for name in ("shift", "rotation", "light", "cover", "noise"):
            _check_amount(name, getattr(self, name))
        if not isinstance(self.flip, bool):
            raise ArgumentError(f"flip: got {self.flip!r}; True or False is needed")

    def __call__(self, x: Tensor) -> Tensor:
        """Make one view of each sample.

        Args:
            x: Floats: images `[n, channels, height, width]` or vectors `[n, d]`.

        Returns:
            The views, of the same shape and type; `x` is not changed.

        Raises:
            ArgumentError: The samples are something else.
        """
        if not x.is_floating_point() or x.ndim not in (2, 4):
            raise ArgumentError(
                f"augmentation: images [n, channels, height, width] or vectors [n, d] of floats "
                f"have views, not {x.dtype} {tuple(x.shape)}; give an `augmentation` of your own, "
                "or perturbation='dropout' or 'weight-noise'"
            )
        if x.ndim == 2:
            spread = x.std(dim=0, unbiased=False) * self.noise
            return x + spread * torch.randn(x.shape, dtype=x.dtype).to(x.device)
        return self._covered(self._lit(self._moved(x)))

    def _moved(self, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        angle = _between(n, math.radians(self.rotation))
        mirror = torch.where(torch.rand(n) < 0.5, -1.0, 1.0) if self.flip else torch.ones(n)
        across, down = _between(n, 2 * self.shift), _between(n, 2 * self.shift)
        # The grid is in half sides: a turn of a picture that isn't square needs the ratio.
        cosine, sine = angle.cos(), angle.sin()
        top = torch.stack((cosine * mirror, -sine * height / width, across), 1)
        bottom = torch.stack((sine * mirror * width / height, cosine, down), 1)
        turn = torch.stack((top, bottom), 1).to(x)
        grid = nn.functional.affine_grid(turn, [n, channels, height, width], align_corners=False)
        return nn.functional.grid_sample(x, grid, padding_mode="border", align_corners=False)

    def _lit(self, x: Tensor) -> Tensor:
        brightness, contrast = (
            _between(len(x), self.light).to(x).view(-1, 1, 1, 1) for _ in range(2)
        )
        mean = x.mean(dim=(1, 2, 3), keepdim=True)
        deviation = x.std(dim=(1, 2, 3), keepdim=True, unbiased=False)
        return x + contrast * (x - mean) + brightness * deviation

    def _covered(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        side = torch.rand(n, 1) * self.cover
        rows = (torch.arange(height) + 0.5) / height
        columns = (torch.arange(width) + 0.5) / width
        in_rows = (rows - torch.rand(n, 1)).abs() < side / 2
        in_columns = (columns - torch.rand(n, 1)).abs() < side / 2
        covered = (in_rows.unsqueeze(2) & in_columns.unsqueeze(1)).unsqueeze(1).to(x.device)
        return torch.where(covered, x.mean(dim=(2, 3), keepdim=True), x)


def _between(n: int, most: float) -> Tensor:
    """Draw `[n]` numbers, uniform from −most to most."""
    return (2 * torch.rand(n) - 1) * most


def _check_amount(name: str, value: Any) -> None:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not (good and 0 <= value < math.inf):
        raise ArgumentError(f"{name}: got {value!r}; a finite number, at least 0, is needed")
