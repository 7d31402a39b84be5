"""Compiled loops over kernels, and the heap of bounds that the lazy loops share.

Import this module only where such a loop is about to run: it imports numba.
"""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import NDArray

from clcore.geometry.compiled import compiled

Floats = NDArray[Any]
Integers = NDArray[Any]
Kappa = tuple[int, float, float]
"""Shape, scale and tie-break of a kernel; see `clcore.geometry.kernels`."""


@compiled
def kappa(squared: float, shape: int, scale: float, tiebreak: float) -> float:
    """Compute κ of one squared distance; see `clcore.geometry.kernels`."""
    if shape == 0:
        return -math.sqrt(squared)
    if shape == 1:
        return -scale * squared
    if shape == 2:
        return math.exp(-scale * squared)
    if shape == 3:
        return math.exp(-scale * math.sqrt(squared))
    if shape == 4:
        return 1.0 / (1.0 + scale * squared)
    if squared * scale <= 1.0:
        return 1.0 + tiebreak * (1.0 - math.sqrt(squared * scale))
    return 0.0


@compiled
def sift_down(heap: Integers, bounds: Floats, place: int, size: int) -> None:
    """Let an entry of the heap sink to where it belongs: largest bound, then lowest row, on top."""
    row = heap[place]
    bound = bounds[row]
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size:
            left, right = heap[child], heap[child + 1]
            if bounds[right] > bounds[left] or (bounds[right] == bounds[left] and right < left):
                child += 1
        below = heap[child]
        if not (bounds[below] > bound or (bounds[below] == bound and below < row)):
            break
        heap[place] = below
        place = child
    heap[place] = row


@compiled
def push(heap: Integers, bounds: Floats, row: int, size: int) -> None:
    """Put a row into a heap of `size` entries."""
    bound = bounds[row]
    place = size
    while place > 0:
        parent = (place - 1) // 2
        above = heap[parent]
        if bounds[above] > bound or (bounds[above] == bound and above < row):
            break
        heap[place] = above
        place = parent
    heap[place] = row


@compiled
def pop(heap: Integers, bounds: Floats, size: int) -> int:
    """Take the top from a heap of `size` entries."""
    row = heap[0]
    heap[0] = heap[size - 1]
    sift_down(heap, bounds, 0, size - 1)
    return int(row)
