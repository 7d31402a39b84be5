"""The checks at the door: nothing has been changed when they refuse."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from clcore.errors import ArgumentError


def positive(name: str, value: int | None) -> None:
    """Refuse what is not a positive integer; None passes.

    Raises:
        ArgumentError: It isn't.
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ArgumentError(f"{name}: got {value!r}; a positive integer is needed")


def check_batch(x: Tensor, y: Tensor) -> None:
    """Refuse a batch that can't be learned from, or kept.

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
    if y.is_floating_point() or y.is_complex() or y.dtype == torch.bool:
        raise ArgumentError(f"y: got {y.dtype}; integer class labels are needed")
    if int(y.min()) < 0:
        row = int(torch.nonzero(y < 0)[0])
        raise ArgumentError(f"y: label {int(y[row])} in row {row}; labels count from 0")
    # A sum is much cheaper than n tests; it is not finite whenever a value isn't.
    if x.is_floating_point() and not math.isfinite(float(x.sum())):
        bad = ~torch.isfinite(x).flatten(1).all(1) if x.ndim > 1 else ~torch.isfinite(x)
        if bool(bad.any()):
            raise ArgumentError(f"x: row {int(torch.nonzero(bad)[0])} holds NaN or infinity")


def check_weight(weight: Tensor, n: int) -> None:
    """Refuse weights that aren't one finite number, not negative, for each row.

    Raises:
        ArgumentError: They aren't.
    """
    if not isinstance(weight, Tensor) or weight.shape != (n,):
        given = f"shape {tuple(weight.shape)}" if isinstance(weight, Tensor) else repr(weight)
        raise ArgumentError(f"weight: got {given}; a tensor [{n}] is needed")
    if not bool((torch.isfinite(weight) & (weight >= 0)).all()):
        raise ArgumentError("weight: a weight is negative, NaN or infinite")


def task_column(task: Tensor | int, like: Tensor) -> Tensor:
    """Task labels as `[n]` int64 on the CPU, one for each row of `like`.

    Raises:
        ArgumentError: There is not one for each row.
    """
    if isinstance(task, int):
        return torch.full((len(like),), task, dtype=torch.int64)
    if not isinstance(task, Tensor) or task.shape != (len(like),):
        given = f"shape {tuple(task.shape)}" if isinstance(task, Tensor) else type(task).__name__
        raise ArgumentError(f"task: got {given}; one integer, or a tensor [{len(like)}], is needed")
    return task.to("cpu", torch.int64)
