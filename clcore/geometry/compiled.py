"""How the step loops are compiled, and the distances of single pairs that they share.

This module imports numba, which takes a while: import it, and the modules of kernels that build on
it, inside the function that first needs them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
from numba import njit
from numba.core import event
from numpy.typing import NDArray

from clcore import clock

Array = NDArray[Any]
P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function for one thread, and keep the result on the disk.

    Sums may be added up in another order, so that they run on vector units, but infinities keep
    their meaning. Small functions are left to the compiler to inline: inlined by numba they would
    lose that permission.

    Args:
        function: What numba understands.

    Returns:
        The compiled function; it lets other Python threads run.
    """
    wrapped = njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})(function)
    return cast(Callable[P, R], wrapped)


class _Compiling(event.Listener):  # type: ignore[misc]  # numba ships no types
    """Stops the clock of costs from the outermost start of a compilation to its end."""

    def __init__(self) -> None:
        self.depth, self.started = 0, 0.0

    def on_start(self, event: Any) -> None:
        """Begin; compilations of what is called lie within those of the caller."""
        if self.depth == 0:
            self.started = time.perf_counter()
        self.depth += 1

    def on_end(self, event: Any) -> None:
        """End."""
        self.depth -= 1
        if self.depth == 0:
            clock.leave_out(time.perf_counter() - self.started)


event.register("numba:compile", _Compiling())


def rounding(matrix: Array) -> float:
    """Return by which factor `quick_squared` may be too large or too small.

    Args:
        matrix: The rows whose distances are taken, `[n, d]`.

    Returns:
        1 plus a bound on the relative error of a sum of d squared differences.
    """
    return float(1 + (matrix.shape[1] + 8) * np.finfo(matrix.dtype).eps)


@compiled
def quick_squared(left: Array, i: int, right: Array, j: int) -> Any:
    """Return the squared distance of row i of one matrix to row j of another, as they are stored.

    Not further from the true one than by the factor `rounding`.
    """
    total = left.dtype.type(0)
    for axis in range(left.shape[1]):
        step = left[i, axis] - right[j, axis]
        total += step * step
    return total


@compiled
def exact_squared(left: Array, i: int, right: Array, j: int) -> float:
    """Return the same in double precision."""
    total = 0.0
    for axis in range(left.shape[1]):
        step = np.float64(left[i, axis]) - np.float64(right[j, axis])
        total += step * step
    return float(total)


@compiled
def exact_to_point(matrix: Array, point: Array, out: Array) -> None:
    """Write the squared distance of every row to a point, in double precision, into `out`."""
    for row in range(matrix.shape[0]):
        total = 0.0
        for axis in range(matrix.shape[1]):
            step = np.float64(matrix[row, axis]) - point[axis]
            total += step * step
        out[row] = total


@compiled
def nearer(
    rows: Array, row: int, centres: Array, start: int, stop: int, least: float, floor: float,
    factor: float,
) -> tuple[float, int]:  # fmt: skip
    """Bring the squared distance of a row to its nearest centre up to date.

    Each distance is taken as stored; only where it could be the least so far it is taken again in
    double precision, which is seldom. So the answer is exact at the price of the quick one.

    Args:
        rows: `[n, d]`.
        row: Which.
        centres: `[m, d]` of the same type.
        start: The first centre that the row has not seen.
        stop: The first that is not there yet.
        least: Exact squared distance to the nearest of the centres before `start`.
        floor: Stop early once the distance is not above this.
        factor: Of `rounding`.

    Returns:
        The new least distance, and the first centre not seen.
    """
    limit = least * factor
    centre = start
    while centre < stop and least > floor:
        if quick_squared(rows, row, centres, centre) <= limit:
            exact = exact_squared(rows, row, centres, centre)
            if exact < least:
                least = exact
                limit = least * factor
        centre += 1
    return least, centre
