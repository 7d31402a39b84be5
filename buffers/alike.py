"""Comparing transforms that were made anew for each experience."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


def alike(a: Any, b: Any) -> bool:
    """Whether two transforms do the same, as far as can be seen: same kind, same settings.

    Args:
        a: A transform, or a setting of one.
        b: Another.
    """
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, Tensor):
        return a.shape == b.shape and a.dtype == b.dtype and bool(torch.equal(a, b))
    if isinstance(a, np.ndarray):
        return bool(np.array_equal(a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in a)
    if isinstance(a, Sequence) and not isinstance(a, str | bytes):
        return len(a) == len(b) and all(map(alike, a, b))
    if hasattr(a, "__code__"):  # functions made anew for each experience, perhaps
        cells = [[cell.cell_contents for cell in f.__closure__ or ()] for f in (a, b)]
        return (
            a.__code__ is b.__code__
            and alike(a.__defaults__, b.__defaults__)
            and alike(a.__kwdefaults__, b.__kwdefaults__)
            and alike(*cells)
        )
    if hasattr(a, "__dict__"):
        return alike(vars(a), vars(b))
    return bool(a == b)
