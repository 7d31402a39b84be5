"""What columns of labels, groups and picks mean: whole numbers, or texts that are numbered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clcore.errors import FormatError

_MANY = 12


@dataclass(frozen=True)
class Keys:
    """One label or group a row.

    Attributes:
        codes: int64 `[n]`.
        names: What each code is called, by code in ascending order.
    """

    codes: Tensor
    names: dict[int, str]

    def code(self, name: str) -> int | None:
        """Return the code of a name; None where no row has it."""
        by_name = {name: code for code, name in self.names.items()}
        return by_name.get(name.strip())

    def sizes(self, rows: Tensor | None = None) -> dict[int, int]:
        """Count rows by code: all, or some of them; codes without any have 0."""
        codes = self.codes if rows is None else self.codes[rows]
        found, counts = torch.unique(codes, return_counts=True)
        there = dict(zip(found.tolist(), counts.tolist(), strict=True))
        return {code: there.get(code, 0) for code in self.names}


def keys(what: str, values: Any) -> Keys:
    """Read labels or groups.

    Args:
        what: What the column is called in messages.
        values: `[n]`: whole numbers (also as floats), booleans or texts.

    Returns:
        The codes: the numbers themselves, or places among the sorted texts.

    Raises:
        FormatError: If it is anything else.
    """
    array = values.numpy() if isinstance(values, Tensor) else np.asarray(values)
    if array.ndim != 1:
        raise FormatError(f"{what}: has shape {list(array.shape)}; one value a row is needed")
    if array.dtype.kind in "UOS":
        try:
            found, codes = np.unique(array.astype(str), return_inverse=True)
        except UnicodeDecodeError as error:
            raise FormatError(f"{what}: {error}") from error
        numbers = torch.from_numpy(codes.astype(np.int64))
        return Keys(numbers, {code: str(name) for code, name in enumerate(found)})
    numbers = whole_numbers(what, array)
    return Keys(numbers, {code: str(code) for code in torch.unique(numbers).tolist()})


def whole_numbers(what: str, values: Any) -> Tensor:
    """Read a column of whole numbers.

    Args:
        what: What the column is called in messages.
        values: `[n]`.

    Returns:
        int64 `[n]`.

    Raises:
        FormatError: If it holds anything else.
    """
    array = values.numpy() if isinstance(values, Tensor) else np.asarray(values)
    wrong = FormatError(f"{what}: is not one whole number a row")
    if array.ndim != 1 or array.dtype.kind not in "iufb":
        raise wrong
    if array.dtype.kind == "f" and not (np.isfinite(array) & (array == np.floor(array))).all():
        raise wrong
    return torch.from_numpy(array.astype(np.int64))


def numbers(what: str, values: Any) -> Any:
    """Bring an array of numbers into a type that PyTorch has, without a copy where it is one.

    Args:
        what: What the array is called in messages.
        values: Tensor, or array `[n, ...]`.

    Returns:
        The same, or a copy in another type.

    Raises:
        FormatError: If it does not hold numbers.
    """
    if isinstance(values, Tensor):
        if values.dtype.is_complex:
            raise FormatError(f"{what}: holds {values.dtype}, not real numbers")
        return values
    if values.dtype.kind not in "fiub":
        raise FormatError(f"{what}: holds {values.dtype}, not numbers")
    if values.dtype.kind == "u" and values.dtype.itemsize > 1:
        return values.astype(np.int64)
    if values.dtype.kind == "f" and values.dtype.itemsize > 8:
        return values.astype(np.float64)
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def named(names: Iterable[Any]) -> str:
    """List names for a message, the first dozen of many."""
    shown = [str(name) for name in names]
    rest = len(shown) - _MANY
    return ", ".join(shown[:_MANY] + ([f"and {rest} more"] if rest > 0 else [])) or "none"
