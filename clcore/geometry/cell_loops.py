"""Compiled loops that divide rows into cells by single coordinates, and pick a row for each cell.

The rows of a cell lie next to one another: a division moves them, so that the cells that are
divided most often, the small ones, stay in the cache.

This module imports numba: import it inside functions.
"""

from __future__ import annotations

import math

import numpy as np

from clcore.geometry.compiled import Array, compiled, nearer
from clcore.geometry.kernel_loops import pop, push

FEW_OPEN = -math.inf
"""The priority of a cell with a single open row: it cannot be divided."""


@compiled
def spread(matrix: Array, order: Array, counted: Array, start: int, stop: int, out: Array) -> float:
    """Measure the rows of a cell: total weight, then of each coordinate mean and squared deviation.

    Args:
        matrix: `[n, d]`, the rows as they lie.
        order: `[n]`: which row each is.
        counted: `[n]` by row: its weight, 0 where it does not count.
        start: The first row of the cell.
        stop: The one after the last.
        out: float64 `[2, d]`: the means, and the weighted sums of squared deviations.

    Returns:
        The total weight.
    """
    axes, total = matrix.shape[1], 0.0
    out[:] = 0.0
    # Deviations from one of the rows: copies of it deviate by exactly 0.
    for place in range(start, stop):
        weight = counted[order[place]]
        total += weight
        for axis in range(axes):
            step = np.float64(matrix[place, axis]) - np.float64(matrix[start, axis])
            weighted = weight * step
            out[0, axis] += weighted
            out[1, axis] += weighted * step
    for axis in range(axes):
        mean = out[0, axis] / total
        out[1, axis] -= out[0, axis] * mean
        out[0, axis] = mean + np.float64(matrix[start, axis])
    return total


@compiled
def exchange(matrix: Array, order: Array, left: int, right: int) -> None:
    """Let two rows change places."""
    for axis in range(matrix.shape[1]):
        value = matrix[left, axis]
        matrix[left, axis] = matrix[right, axis]
        matrix[right, axis] = value
    row = order[left]
    order[left] = order[right]
    order[right] = row


@compiled
def part_at(matrix: Array, order: Array, start: int, stop: int, axis: int, cut: float) -> int:
    """Bring the rows whose coordinate is at most `cut` to the front; returns where they end."""
    left, right = start, stop - 1
    while True:
        while left <= right and matrix[left, axis] <= cut:
            left += 1
        while left <= right and matrix[right, axis] > cut:
            right -= 1
        if left >= right:
            return left
        exchange(matrix, order, left, right)
        left += 1
        right -= 1


@compiled
def open_among(order: Array, is_open: Array, start: int, stop: int, most: int) -> tuple[int, int]:
    """Count open rows up to `most`; returns how many, and where the last one that counts lies."""
    count, last = 0, start
    for place in range(start, stop):
        if is_open[order[place]]:
            count += 1
            last = place
            if count == most:
                break
    return count, last


@compiled
def divide(
    matrix: Array, order: Array, counted: Array, is_open: Array, starts: Array, stops: Array
) -> None:
    """Divide rows into as many cells as `starts` has places, each with an open row at least.

    The cell divided next is that with the largest √(weight × squared deviation), which bounds the
    sum of the distances to its mean; it is cut at the mean of the coordinate that deviates most.
    Only open rows count there. Where all that is left are copies of one another, the heaviest cell
    is halved.

    Args:
        matrix: `[n, d]`; its rows are moved.
        order: int64 `[n]`: 0 to n − 1; moved likewise.
        counted: float64 `[n]` by row: positive for open rows, else 0.
        is_open: bool `[n]` by row; as many are true as there are cells, at least.
        starts: int64 `[k]`: where each cell starts; written. A cell that is divided keeps its place
            for the lower part, and the upper gets the next.
        stops: int64 `[k]`: where it stops; written.
    """
    cells = starts.size
    moments = np.empty((2, matrix.shape[1]))
    priority, cuts = np.empty(cells), np.empty(cells)
    axes, heap = np.empty(cells, np.int64), np.empty(cells, np.int64)
    starts[0], stops[0] = 0, matrix.shape[0]
    made, waiting, first, second = 1, 0, 0, 0
    while True:
        for cell in range(first, second + 1, max(1, second - first)):
            start, stop = starts[cell], stops[cell]
            total = spread(matrix, order, counted, start, stop, moments)
            deviation = moments[1].sum()
            axis = int(moments[1].argmax())
            axes[cell], cuts[cell] = axis, moments[0, axis]
            if open_among(order, is_open, start, stop, 2)[0] < 2:
                priority[cell] = FEW_OPEN
            elif moments[1, axis] > 0:
                priority[cell] = math.sqrt(deviation * total)
            else:
                priority[cell] = -1 / total
            push(heap, priority, cell, waiting)
            waiting += 1
        if made == cells:
            return
        cell = pop(heap, priority, waiting)
        waiting -= 1
        start, stop = starts[cell], stops[cell]
        middle = start
        if priority[cell] > 0:
            middle = part_at(matrix, order, start, stop, axes[cell], cuts[cell])
        lower = open_among(order, is_open, start, middle, 1)[0]
        upper = open_among(order, is_open, middle, stop, 1)[0]
        if lower == 0 or upper == 0:
            # Copies, or so near to one another that the mean is not in between.
            rows = open_among(order, is_open, start, stop, stop - start)[0]
            middle = open_among(order, is_open, start, stop, rows // 2)[1] + 1
        starts[made], stops[made], stops[cell] = middle, stop, middle
        first, second = cell, made
        made += 1


@compiled
def represent(
    matrix: Array, order: Array, weights: Array, is_open: Array, starts: Array, stops: Array,
    carry: bool, picks: Array, sizes: Array, place_of: Array, away: Array,
) -> None:  # fmt: skip
    """Pick for each cell the open row nearest to its mean, or to what makes up for those before.

    Args:
        matrix: `[n, d]`, as `divide` left it.
        order: int64 `[n]`: which row each is.
        weights: float64 `[n]` by row.
        is_open: bool `[n]` by row.
        starts: int64 `[k]`: of the cells.
        stops: int64 `[k]`.
        carry: Whether what the picks so far have too much, weight times deviation from the mean of
            their cell, is taken off what the next cell looks for. Cells are gone through as they
            lie, so that those before are near.
        picks: int64 `[k]`: the row of each cell; written.
        sizes: float64 `[k]`: the weight of each cell; written.
        place_of: int64 `[n]` by row: its cell; written.
        away: float64 `[n]` by row: squared distance to the pick of its cell; written.
    """
    axes = matrix.shape[1]
    moments, excess, aim = np.empty((2, axes)), np.zeros(axes), np.empty(axes)
    ones = np.ones(weights.size)
    for cell in np.argsort(starts):
        start, stop = starts[cell], stops[cell]
        size = 0.0
        for place in range(start, stop):
            size += weights[order[place]]
        spread(matrix, order, weights if size > 0 else ones, start, stop, moments)
        for axis in range(axes):
            aim[axis] = moments[0, axis]
            if carry and size > 0:
                aim[axis] -= excess[axis] / size
        least, best = math.inf, -1
        for place in range(start, stop):
            if not is_open[order[place]]:
                continue
            squared = 0.0
            for axis in range(axes):
                step = np.float64(matrix[place, axis]) - aim[axis]
                squared += step * step
            if squared < least or (squared == least and order[place] < order[best]):
                least, best = squared, place
        for axis in range(axes):
            excess[axis] += size * (np.float64(matrix[best, axis]) - moments[0, axis])
        picks[cell], sizes[cell] = order[best], size
        for place in range(start, stop):
            squared = 0.0
            for axis in range(axes):
                step = np.float64(matrix[place, axis]) - np.float64(matrix[best, axis])
                squared += step * step
            place_of[order[place]], away[order[place]] = cell, squared


@compiled
def nearest_of(
    matrix: Array, rows: Array, centres: Array, factor: float, place_of: Array, away: Array
) -> None:
    """Find for some rows the nearest of some centres, the first of those that are equally near.

    Args:
        matrix: `[n, d]`.
        rows: int64 `[m]`: which.
        centres: `[k, d]` of the same type.
        factor: Of `rounding`.
        place_of: int64 `[n]`: the centre of each of these rows; written.
        away: float64 `[n]`: the squared distance to it; written.
    """
    for row in rows:
        least = math.inf
        for centre in range(centres.shape[0]):
            found = nearer(matrix, row, centres, centre, centre + 1, least, -1.0, factor)[0]
            if found < least:
                least = found
                place_of[row] = centre
        away[row] = least
