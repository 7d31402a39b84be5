"""One sample, as a stream has it and as a tensor."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import functional as image_functions

from clcore.errors import ArgumentError

Form = Literal["pil", "array", "tensor", "image"]
"""What one sample of the stream is at a point of its pipeline ("image": a `tv_tensors.Image`)."""


def as_sample(row: Tensor, form: Form) -> Any:
    """One row of a batch as the stream has it.

    Args:
        row: `[...]`.
        form: What the stream has.
    """
    if form == "pil":
        return image_functions.to_pil_image(row)
    if form == "array":
        return row.cpu().numpy()
    # A copy: what is not ours may write in place.
    return tv_tensors.Image(row.clone()) if form == "image" else row.clone()


def form_of(value: Any) -> Form:
    """What kind of sample a value is.

    Args:
        value: x of one sample.
    """
    if isinstance(value, Image.Image):
        return "pil"
    if isinstance(value, np.ndarray):
        return "array"
    return "image" if isinstance(value, tv_tensors.Image) else "tensor"


_PIL_MODES = ("L", "LA", "RGB", "RGBA")


def as_tensor(value: Any) -> Tensor:
    """One sample as a tensor, without scaling.

    Args:
        value: A tensor, an array, a number, or a PIL image of mode L, LA, RGB or RGBA.

    Returns:
        `[C, H, W]` uint8 for a PIL image, else the values in their own shape and type.

    Raises:
        ArgumentError: It is something else.
    """
    if isinstance(value, Tensor):
        return value.as_subclass(Tensor)
    if isinstance(value, Image.Image):
        if value.mode not in _PIL_MODES:
            raise ArgumentError(
                f"samples: PIL images of mode {value.mode!r}; buffers keep modes "
                f"{', '.join(_PIL_MODES)}: convert them in the data set, as in "
                "`image.convert('RGB')`"
            )
        picture: Tensor = image_functions.pil_to_tensor(value)
        return picture
    if isinstance(value, np.ndarray):
        # PyTorch warns of arrays that can't be written to.
        whole = np.ascontiguousarray(value)
        return torch.from_numpy(whole if whole.flags.writeable else whole.copy())
    if isinstance(value, float | int | np.generic):
        return torch.as_tensor(value)
    raise ArgumentError(
        f"samples: of type {type(value).__name__}; a buffer keeps tensors, arrays, numbers or PIL "
        "images"
    )
