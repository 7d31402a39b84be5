"""Checks that several doors share: whole numbers, columns, finite values."""

from __future__ import annotations

import operator
import warnings
from typing import Any

import torch
from torch import Tensor

from clcore.errors import ArgumentError, SignalError

_BLOCK = 2**26
"""Elements that are checked at a time."""


def whole_number(name: str, value: Any, *, least: int = 0) -> int:
    """Check that a value is a whole number and not too small.

    Args:
        name: The argument's name, for the message.
        value: What was given. Booleans and floats are refused: they are nearly always mistakes.
        least: The smallest value allowed.

    Returns:
        The value as an `int`.

    Raises:
        ArgumentError: If it is anything else.
    """
    wrong = f"{name} must be a whole number of at least {least}, not {value!r}"
    if isinstance(value, bool):
        raise ArgumentError(wrong)
    try:
        number = operator.index(value)
    except TypeError:
        raise ArgumentError(wrong) from None
    if number < least:
        raise ArgumentError(wrong)
    return number


def integer_column(name: str, values: Any, rows: int | None) -> Tensor:
    """Check a column of integers (labels, groups, tasks), one a row.

    Args:
        name: The argument's name, for the message.
        values: A tensor, array or list of integers of any width.
        rows: How many there must be; None if this column decides.

    Returns:
        int64 tensor `[rows]`.

    Raises:
        ArgumentError: If the values are not whole numbers or there are too many or too few.
    """
    column = as_tensor(name, values)
    kind = column.dtype
    if kind.is_floating_point or kind.is_complex or kind is torch.bool:
        raise ArgumentError(f"{name} must be integers, not {kind}")
    _check_rows(name, column, rows)
    return column.to(torch.int64)


def weight_column(name: str, values: Any, rows: int | None) -> Tensor:
    """Check a column of weights: finite, none negative, not all zero.

    Args:
        name: The argument's name, for the message.
        values: A tensor, array or list of numbers.
        rows: How many there must be; None if this column decides.

    Returns:
        Floating-point tensor `[rows]`.

    Raises:
        ArgumentError: If a weight is negative, all are zero, or the number is wrong.
        SignalError: If a weight is NaN or infinite.
    """
    column = as_tensor(name, values)
    column = column if column.is_floating_point() else column.to(torch.float32)
    _check_rows(name, column, rows)
    require_finite(name, column)
    if len(column):
        least = column.min().item()
        if least < 0:
            row = int(column.argmin())
            raise ArgumentError(f"{name} must not be negative: row {row} holds {least}")
        if column.max().item() == 0:
            raise ArgumentError(f"{name} are all zero: at least one row must count")
    return column


def require_finite(name: str, values: Tensor, first: int = 0) -> None:
    """Refuse NaN and infinity.

    Args:
        name: The signal's name, for the message.
        values: Tensor `[n, ...]`.
        first: The number of the first row, for the message.

    Raises:
        SignalError: Naming the signal and the first bad row.
    """
    if not values.is_floating_point() or values.numel() == 0:
        return
    # Some rows at a time, so that of a memory-mapped signal never more than a block is copied.
    rows = max(1, _BLOCK // max(1, values[0].numel()))
    for start in range(0, len(values), rows):
        _require_finite_block(name, values[start : start + rows], first + start)


def _require_finite_block(name: str, values: Tensor, start: int) -> None:
    # A finite sum proves every element finite without a mask of the same size; a sum that is
    # not finite may still be an overflow, so only then look row by row.
    if torch.isfinite(values.sum()):
        return
    good = torch.isfinite(values).reshape(len(values), -1).all(dim=1)
    if bool(good.all()):
        return
    row = int((~good).to(torch.uint8).argmax())
    what = "NaN" if bool(torch.isnan(values[row]).any()) else "infinity"
    raise SignalError(f"signal {name!r} holds {what}, first in row {start + row}")


def as_tensor(name: str, values: Any) -> Tensor:
    """Read values as a tensor, without a copy where they are a tensor or an array.

    Args:
        name: What they are, for the message.
        values: A tensor, array or list. A read-only array is taken without a warning: nothing in
            this library writes into what it is given.

    Returns:
        The tensor.

    Raises:
        ArgumentError: If they cannot be read as one.
    """
    if isinstance(values, Tensor):
        return values
    try:
        if getattr(getattr(values, "flags", None), "writeable", True):
            return torch.as_tensor(values)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            return torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ArgumentError(f"{name} cannot be read as a tensor: {error}") from None


def _check_rows(name: str, column: Tensor, rows: int | None) -> None:
    if column.ndim != 1:
        raise ArgumentError(
            f"{name} must be one-dimensional, one value a row, not of shape {tuple(column.shape)}"
        )
    if rows is not None and len(column) != rows:
        raise ArgumentError(f"{name} has {len(column)} rows where the pool has {rows}")
