"""The checks at the door of the online loop: nothing has been learned when they refuse."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from clcore.errors import ArgumentError


def check_batch(x: Tensor, y: Tensor) -> None:
    """Refuse a batch that can't be learned from.

    Args:
        x: Samples `[n, ...]`.
        y: Class labels `[n]`.

    Raises:
        ArgumentError: It is empty, its parts don't fit, it holds NaN or infinity, or a label is
            negative or no integer.
    """
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        raise ArgumentError(
            f"x, y: got {type(x).__name__} and {type(y).__name__}; tensors are needed"
        )
    if x.ndim == 0 or len(x) == 0 or y.shape != (len(x),):
        raise ArgumentError(
            f"x, y: got shapes {tuple(x.shape)} and {tuple(y.shape)}; [n, ...] and [n] with at "
            "least one row are needed"
        )
    if y.is_floating_point() or y.dtype == torch.bool:
        raise ArgumentError(f"y: got {y.dtype}; integer class labels are needed")
    if int(y.min()) < 0:
        raise ArgumentError(f"y: got label {int(y.min())}; labels count from 0")
    # A sum is much cheaper than n tests; it is not finite whenever a value isn't.
    if x.is_floating_point() and not math.isfinite(float(x.sum())):
        bad = ~torch.isfinite(x).flatten(1).all(1) if x.ndim > 1 else ~torch.isfinite(x)
        if bool(bad.any()):
            raise ArgumentError(f"x: row {int(torch.nonzero(bad)[0])} holds NaN or infinity")


def task_column(task: Tensor | int, like: Tensor) -> Tensor:
    """Task labels as `[n]` int64, one for each row of `like`.

    Raises:
        ArgumentError: There is not one for each row.
    """
    if isinstance(task, int):
        return torch.full((len(like),), task, dtype=torch.int64)
    if task.shape != (len(like),):
        raise ArgumentError(f"task: got shape {tuple(task.shape)}; [{len(like)}] is needed")
    return task.to(torch.int64)
