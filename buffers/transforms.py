"""Transforms that work on a whole batch and still draw for each row alone.

Avalanche and torchvision transform one sample at a time; loading is 84 % of a replay epoch. Here
the same pipeline runs on a `[n, C, H, W]` tensor. The steps that continual-learning pipelines are
made of (tensor conversion, normalisation, flips, crops) are vectorised with one random draw *per
row*, so every row has the distribution it would have had alone; any other step is applied row by
row, on a PIL image where the stream would have handed it one, so the result stays right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision import transforms as v1
from torchvision.transforms import functional as image_functions
from torchvision.transforms import v2

Step = Callable[[Any], Any]


def flatten(steps: Iterable[Step | None]) -> list[Step]:
    """Unfold nested compositions into the list of steps that act on x.

    Args:
        steps: Transforms, `Compose` objects of either torchvision generation, Avalanche's
            multi-parameter compositions, or None.

    Returns:
        The steps in order, compositions and identities removed.
    """
    flat: list[Step] = []
    for step in steps:
        if step is None or isinstance(step, torch.nn.Identity | v2.Identity):
            continue
        if isinstance(step, v1.Compose | v2.Compose | torch.nn.Sequential):
            flat += flatten(step.transforms if not isinstance(step, torch.nn.Sequential) else step)
        elif hasattr(step, "flat_transforms"):  # Avalanche's TupleTransform and relatives
            flat += flatten(step.flat_transforms(0))
        else:
            flat.append(step)
    return flat


class BatchTransform:
    """A per-sample pipeline, applied to a batch.

    Args:
        steps: The per-sample transforms in order; compositions are unfolded.
        pil: Whether the stream hands PIL images to the first step (the batch is then uint8).

    Attributes:
        deterministic: True where every step is known to give the same result each time.
        vectorised: True where no step has to be applied row by row.
    """

    def __init__(self, steps: Iterable[Step | None] = (), *, pil: bool = False) -> None:
        self.steps: list[Step] = flatten(steps)
        self.pil = pil
        self.deterministic = all(isinstance(step, _DETERMINISTIC) for step in self.steps)
        self.vectorised = all(_vectorisable(step) for step in self.steps)

    def __call__(self, x: Tensor) -> Tensor:
        """Transform a batch.

        Args:
            x: `[n, ...]`, as stored (uint8 `[n, C, H, W]` for images that were PIL).

        Returns:
            The transformed batch; random steps draw from torch's global generator, as
            torchvision's do.
        """
        pil = self.pil
        for step in self.steps:
            if _vectorisable(step):
                x = _apply(step, x)
                pil = pil and not isinstance(step, _TO_TENSOR)
            else:
                x, pil = _row_by_row(step, x, pil)
        return x

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, BatchTransform)
            and self.pil == other.pil
            and len(self.steps) == len(other.steps)
            and all(a is b for a, b in zip(self.steps, other.steps, strict=True))
        )

    __hash__ = None  # type: ignore[assignment]  # compares by content, is mutable

    def __repr__(self) -> str:
        return f"BatchTransform({self.steps}, pil={self.pil})"


_TO_TENSOR = (v1.ToTensor, v1.PILToTensor, v2.PILToTensor, v2.ToImage)
_DETERMINISTIC = (
    *_TO_TENSOR,
    v1.ConvertImageDtype,
    v2.ToDtype,
    v2.ToPureTensor,
    v1.Normalize,
    v2.Normalize,
    v1.CenterCrop,
    v2.CenterCrop,
)
_FLIPS_HORIZONTAL = (v1.RandomHorizontalFlip, v2.RandomHorizontalFlip)
_FLIPS_VERTICAL = (v1.RandomVerticalFlip, v2.RandomVerticalFlip)
_CROPS = (v1.RandomCrop, v2.RandomCrop)


def _vectorisable(step: Step) -> bool:
    if isinstance(step, _CROPS):
        return step.padding_mode == "constant" and not step.pad_if_needed and step.fill == 0
    return isinstance(step, (*_DETERMINISTIC, *_FLIPS_HORIZONTAL, *_FLIPS_VERTICAL))


def _apply(step: Any, x: Tensor) -> Tensor:
    if isinstance(step, v1.ToTensor):
        return x.to(torch.get_default_dtype()).div_(255) if x.dtype == torch.uint8 else x
    if isinstance(step, v1.PILToTensor | v2.PILToTensor | v2.ToImage | v2.ToPureTensor):
        return x
    if isinstance(step, v2.ToDtype):
        # On a plain tensor v2 transforms "the others" only when asked; a batch of images is one.
        dtype = step.dtype if isinstance(step.dtype, torch.dtype) else torch.float32
        return v2.functional.to_dtype(x, dtype, scale=step.scale)
    if isinstance(step, _FLIPS_HORIZONTAL):
        return _flip(x, step.p, -1)
    if isinstance(step, _FLIPS_VERTICAL):
        return _flip(x, step.p, -2)
    if isinstance(step, _CROPS):
        return _random_crop(x, step.size, step.padding)
    transformed: Tensor = step(x)  # normalise, convert dtype, centre crop: batched already
    return transformed


def _flip(x: Tensor, probability: float, dimension: int) -> Tensor:
    chosen = torch.rand(len(x), device=x.device) < probability
    return torch.where(chosen.view(-1, *[1] * (x.ndim - 1)), x.flip(dimension), x)


def _random_crop(x: Tensor, size: Sequence[int], padding: int | Sequence[int] | None) -> Tensor:
    """Crop a window of its own out of each row, in one gather."""
    if padding is not None:
        sides = [padding] * 4 if isinstance(padding, int) else list(padding)
        if len(sides) == 1:
            sides = sides * 4
        elif len(sides) == 2:
            sides = [sides[0], sides[1], sides[0], sides[1]]
        left, top, right, bottom = sides
        x = torch.nn.functional.pad(x, (left, right, top, bottom))
    n, channels, height, width = x.shape
    crop_height, crop_width = size
    top_edge = torch.randint(0, height - crop_height + 1, (n, 1), device=x.device)
    left_edge = torch.randint(0, width - crop_width + 1, (n, 1), device=x.device)
    rows = top_edge + torch.arange(crop_height, device=x.device)
    columns = left_edge + torch.arange(crop_width, device=x.device)
    flat = (rows[:, :, None] * width + columns[:, None, :]).view(n, 1, -1)
    picked = x.flatten(2).gather(2, flat.expand(n, channels, -1))
    return picked.view(n, channels, crop_height, crop_width)


def _row_by_row(step: Step, x: Tensor, pil: bool) -> tuple[Tensor, bool]:
    """Apply a step that knows one sample only; returns the batch and whether it is still PIL."""
    results = [step(image_functions.to_pil_image(row) if pil else row) for row in x]
    still_pil = not isinstance(results[0], Tensor)
    rows = [image_functions.pil_to_tensor(row) if still_pil else row for row in results]
    return torch.stack(rows), still_pil
