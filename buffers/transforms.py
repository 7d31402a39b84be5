"""Transforms that work on a whole batch and still draw for each row alone.

Avalanche and torchvision transform one sample at a time; loading is 84 % of a replay epoch. Here
the same pipeline runs on a `[n, C, H, W]` tensor. The steps that continual-learning pipelines are
made of (tensor conversion, normalisation, flips, crops) are vectorised with one random draw *per
row*, so every row has the distribution it would have had alone; any other step is applied row by
row, on what the stream would have handed it (a PIL image, an array, a tensor), so the result stays
right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torchvision import transforms as v1
from torchvision.transforms import functional as image_functions
from torchvision.transforms import v2

from buffers.alike import alike
from buffers.pixels import pixel_scaling
from buffers.samples import Form, as_sample, as_tensor, form_of
from clcore.errors import ArgumentError

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
        if isinstance(step, v1.Compose | v2.Compose):
            flat += flatten(step.transforms)
        elif isinstance(step, torch.nn.Sequential):
            flat += flatten(step)
        elif hasattr(step, "flat_transforms"):  # Avalanche's TupleTransform and relatives
            flat += flatten(step.flat_transforms(0))
        else:
            flat.append(step)
    return flat


class BatchTransform:
    """A per-sample pipeline, applied to a batch.

    A step of your own that takes a batch as well as a sample says so by an attribute `batched =
    True`; it must be deterministic.

    Args:
        steps: The per-sample transforms in order; compositions are unfolded.
        pil: Whether the stream hands PIL images to the first step (the batch is then `[n, C, H,
            W]`, uint8 for the usual images).
        array: Whether it hands NumPy arrays to the first step.

    Attributes:
        steps: The steps, unfolded.
        form: What one sample is before the first step.
        deterministic: True where every step is known to give the same result each time.
        vectorised: True where no step has to be applied row by row.
    """

    def __init__(
        self, steps: Iterable[Step | None] = (), *, pil: bool = False, array: bool = False
    ) -> None:
        self.steps: list[Step] = flatten(steps)
        self.form: Form = "pil" if pil else "array" if array else "tensor"
        self.deterministic = all(map(is_deterministic, self.steps))
        self.vectorised = all(_vectorisable(step) for step in self.steps)
        # v2 steps pass PIL images through, so there the shortcut would not be the same.
        plain = self.form == "tensor" or (pil and self.steps[:1] and _makes_tensor(self.steps[0]))
        self._pixels = pixel_scaling(self.steps) if plain else None

    @property
    def pil(self) -> bool:
        """Whether the stream hands PIL images to the first step."""
        return self.form == "pil"

    def __call__(self, x: Tensor) -> Tensor:
        """Transform a batch.

        Args:
            x: `[n, ...]`, as stored; it is not changed.

        Returns:
            The transformed batch; random steps draw from torch's global generator, as
            torchvision's do.

        Raises:
            ArgumentError: A step gives rows of different shape.
        """
        if self._pixels is not None and x.dtype == torch.uint8 and x.ndim == 4:
            return self._pixels(x)
        return self.run(x)[0]

    def run(self, x: Tensor) -> tuple[Tensor, Form]:
        """Transform a batch and say what one sample is afterwards.

        Args:
            x: As for a call.
        """
        form = self.form
        for step in self.steps:
            x, form = _apply(step, x, form)
        return x, form

    def same_as(self, other: BatchTransform) -> bool:
        """Whether the two do the same: the same steps with the same settings.

        Args:
            other: Another pipeline; its steps may be other objects.
        """
        return self is other or (
            self.form == other.form
            and len(self.steps) == len(other.steps)
            and all(alike(a, b) for a, b in zip(self.steps, other.steps, strict=True))
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BatchTransform) and self.same_as(other)

    __hash__ = None  # type: ignore[assignment]  # compares by content

    def __repr__(self) -> str:
        return f"BatchTransform({self.steps}, form={self.form})"


_TO_TENSOR = (v1.ToTensor, v1.PILToTensor, v2.PILToTensor, v2.ToImage)
_POINTWISE = (
    v1.ConvertImageDtype,
    v2.ConvertImageDtype,
    v2.ToDtype,
    v2.ToPureTensor,
    v1.Normalize,
    v2.Normalize,
)
_CENTRE_CROPS = (v1.CenterCrop, v2.CenterCrop)
_FLIPS_HORIZONTAL = (v1.RandomHorizontalFlip, v2.RandomHorizontalFlip)
_FLIPS_VERTICAL = (v1.RandomVerticalFlip, v2.RandomVerticalFlip)
_CROPS = (v1.RandomCrop, v2.RandomCrop)
_DETERMINISTIC = (
    *_TO_TENSOR,
    *_POINTWISE,
    *_CENTRE_CROPS,
    # Applied row by row, since on a PIL image they round otherwise than on a tensor.
    *(v1.Resize, v2.Resize, v1.Pad, v2.Pad, v1.Grayscale, v2.Grayscale),
)


def _makes_tensor(step: Step) -> bool:
    return isinstance(step, _TO_TENSOR)


def is_deterministic(step: Step) -> bool:
    """Whether a step is known to give the same result each time.

    Args:
        step: Any transform of one sample.
    """
    return isinstance(step, _DETERMINISTIC) or _batched(step)


def _batched(step: Step) -> bool:
    return getattr(step, "batched", False) is True


def _vectorisable(step: Step) -> bool:
    if _batched(step):
        return True
    if isinstance(step, _CROPS):
        return step.padding_mode == "constant" and not step.pad_if_needed and step.fill == 0
    if isinstance(step, v2.ToDtype):
        return isinstance(step.dtype, torch.dtype)
    return isinstance(
        step, (*_TO_TENSOR, *_POINTWISE, *_CENTRE_CROPS, *_FLIPS_HORIZONTAL, *_FLIPS_VERTICAL)
    )


def _apply(step: Any, x: Tensor, form: Form) -> tuple[Tensor, Form]:
    if not _vectorisable(step) or (form == "array" and not isinstance(step, _TO_TENSOR)):
        return _row_by_row(step, x, form)
    if isinstance(step, _TO_TENSOR):
        return _to_tensor(step, x, form)
    if isinstance(step, _POINTWISE):
        if isinstance(step, v2.ToDtype | v2.ToPureTensor) and form == "pil":
            return x, form  # they pass PIL images through
        return _pointwise(step, x), "tensor" if isinstance(step, v2.ToPureTensor) else form
    if isinstance(step, _FLIPS_HORIZONTAL):
        return _flip(x, step.p, -1), form
    if isinstance(step, _FLIPS_VERTICAL):
        return _flip(x, step.p, -2), form
    if isinstance(step, _CROPS):
        return _random_crop(x, step), form
    if _batched(step) and form == "pil":
        return _row_by_row(step, x, form)
    return step(x), form  # a centre crop, or a step that says it takes batches


def _to_tensor(step: Any, x: Tensor, form: Form) -> tuple[Tensor, Form]:
    if form == "array":  # [n, H, W] or [n, H, W, C]
        x = x.unsqueeze(1) if x.ndim == 3 else x.permute(0, 3, 1, 2).contiguous()
    if isinstance(step, v1.ToTensor) and x.dtype == torch.uint8:
        x = x.to(torch.get_default_dtype()).div(255)
    return x, "image" if isinstance(step, v2.ToImage) else "tensor"


def _pointwise(step: Any, x: Tensor) -> Tensor:
    if isinstance(step, v1.Normalize | v2.Normalize):
        return _normalise(x, step)
    if (
        isinstance(step, v1.ConvertImageDtype)
        and x.dtype == torch.uint8
        and step.dtype.is_floating_point
    ):
        return x.to(step.dtype).div_(255)  # what torchvision does, without its detours
    if isinstance(step, v2.ToDtype):
        converted: Tensor = v2.functional.to_dtype(x, step.dtype, scale=step.scale)
        return converted
    if isinstance(step, v2.ToPureTensor):
        return x
    other: Tensor = step(x)
    return other


def _normalise(x: Tensor, step: Any) -> Tensor:
    """What torchvision does, bit for bit, without making its constants anew for each batch."""
    if not x.is_floating_point() or x.ndim < 3 or 0 in step.std:
        normalised: Tensor = image_functions.normalize(x, step.mean, step.std)  # says what is wrong
        return normalised
    mean = _constant(tuple(step.mean), x.dtype, x.device)
    # Only the second operation is in place: x may be the store's own tensor.
    return x.sub(mean).div_(_constant(tuple(step.std), x.dtype, x.device))


@lru_cache(maxsize=64)
def _constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=dtype, device=device).view(-1, 1, 1)


def _flip(x: Tensor, probability: float, dimension: int) -> Tensor:
    chosen = torch.rand(len(x)) < probability
    if len(x) == 1:
        return x.flip(dimension) if chosen else x
    return torch.where(chosen.to(x.device).view(-1, *[1] * (x.ndim - 1)), x.flip(dimension), x)


def _padding(step: Any) -> tuple[int, int, int, int] | None:
    """Left, right, top, bottom."""
    given = step.padding
    if given is None:
        return None
    if isinstance(step, v2.RandomCrop):  # parsed by torchvision already
        return tuple(given)
    if isinstance(given, int):
        return given, given, given, given
    if len(given) == 1:
        return given[0], given[0], given[0], given[0]
    if len(given) == 2:
        return given[0], given[0], given[1], given[1]
    left, top, right, bottom = given
    return left, right, top, bottom


def _random_crop(x: Tensor, step: Any) -> Tensor:
    """Crop a window of its own out of each row, in one gather."""
    padding = _padding(step)
    if padding is not None:
        x = torch.nn.functional.pad(x, padding)
    n, channels, height, width = x.shape
    crop_height, crop_width = step.size
    if crop_height > height or crop_width > width:
        raise ArgumentError(
            f"transform: {step} asks for a window larger than the padded image, {height}x{width}"
        )
    top_edge = torch.randint(0, height - crop_height + 1, (n, 1))
    left_edge = torch.randint(0, width - crop_width + 1, (n, 1))
    if n == 1:
        top, left = int(top_edge), int(left_edge)
        return x[:, :, top : top + crop_height, left : left + crop_width]
    rows = top_edge + torch.arange(crop_height)
    columns = left_edge + torch.arange(crop_width)
    flat = (rows[:, :, None] * width + columns[:, None, :]).view(n, 1, -1).to(x.device)
    picked = x.flatten(2).gather(2, flat.expand(n, channels, -1))
    return picked.view(n, channels, crop_height, crop_width)


def _row_by_row(step: Step, x: Tensor, form: Form) -> tuple[Tensor, Form]:
    """Apply a step that knows one sample only; returns the batch and what a sample is now."""
    results = [step(as_sample(row, form)) for row in x]
    rows = [as_tensor(result) for result in results]
    shapes = {tuple(row.shape) for row in rows}
    if len(shapes) > 1:
        raise ArgumentError(
            f"transform: {step} gives samples of different shapes ({sorted(shapes)[:3]}), which "
            "make no batch"
        )
    return torch.stack(rows), form_of(results[0])
