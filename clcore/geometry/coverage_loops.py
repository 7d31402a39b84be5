"""Compiled loops of exact lazy coverage: one call makes all picks.

Import this module only where such a loop is about to run: it imports numba.

The rows lie in blocks of `LANES`, one coordinate after the other, so that a block stays in the
first-level cache while the foremost rows of the queue are compared with it, four at a time.
"""

from __future__ import annotations

import numpy as np

from clcore.geometry.compiled import compiled
from clcore.geometry.kernel_loops import (
    Floats,
    Integers,
    Kappa,
    kappa,
    pop,
    push,
    sift_down,
)

LANES = 128
"""Rows in a block: 32 KiB in float32 with 64 coordinates."""

TOGETHER = 4
"""Rows whose gains are computed in one go; the coordinates are also a multiple of it."""


@compiled
def _four(
    block: Floats,
    squares: Floats,
    points: Floats,
    own: Floats,
    first: Floats,
    second: Floats,
    third: Floats,
    fourth: Floats,
) -> None:
    """Compute the squared distances of a block to four points, each given as −2 x.

    The coordinates are named one by one: so they stay in registers, and the lanes are vectors.
    """
    for lane in range(LANES):
        square = squares[lane]
        first[lane] = square + own[0]
        second[lane] = square + own[1]
        third[lane] = square + own[2]
        fourth[lane] = square + own[3]
    for axis in range(0, block.shape[0], TOGETHER):
        x0, x1, x2, x3 = block[axis], block[axis + 1], block[axis + 2], block[axis + 3]
        p0, p1 = points[0, axis], points[0, axis + 1]
        p2, p3 = points[0, axis + 2], points[0, axis + 3]
        q0, q1 = points[1, axis], points[1, axis + 1]
        q2, q3 = points[1, axis + 2], points[1, axis + 3]
        r0, r1 = points[2, axis], points[2, axis + 1]
        r2, r3 = points[2, axis + 2], points[2, axis + 3]
        t0, t1 = points[3, axis], points[3, axis + 1]
        t2, t3 = points[3, axis + 2], points[3, axis + 3]
        for lane in range(LANES):
            a, b, c, d = x0[lane], x1[lane], x2[lane], x3[lane]
            first[lane] += p0 * a + p1 * b + p2 * c + p3 * d
            second[lane] += q0 * a + q1 * b + q2 * c + q3 * d
            third[lane] += r0 * a + r1 * b + r2 * c + r3 * d
            fourth[lane] += t0 * a + t1 * b + t2 * c + t3 * d


@compiled
def _above_distance(squared: Floats, level: Floats, weights: Floats) -> float:
    """Add up what a point adds to a block for κ = −√s."""
    zero = squared.dtype.type(0)
    total = zero
    for lane in range(LANES):
        rise = -np.sqrt(max(squared[lane], zero)) - level[lane]
        total += max(rise, zero) * weights[lane]
    return float(total)


@compiled
def _exponentials(squared: Floats, shape: int, scale: float, power: Floats, out: Floats) -> None:
    """Compute κ of a block for the RBF and Laplace kernels, in single precision, as vectors.

    exp(v) = 2^t exp(r) with t the whole number nearest to v / log 2; 2^t is written by its bits,
    exp(r) is a polynomial. Its relative error is below 1e-7 (measured).
    """
    one, zero, factor = np.float32(1), np.float32(0), np.float32(-scale)
    bits = power.view(np.int32)
    for lane in range(LANES):
        away = max(np.float32(squared[lane]), zero)
        away = np.sqrt(away) if shape == 3 else away
        v = max(factor * away, np.float32(-87))
        t = np.floor(v * np.float32(1.44269504) + np.float32(0.5))
        r = v - t * np.float32(0.693359375) + t * np.float32(2.12194440e-4)
        p = np.float32(1.9875691500e-4)
        p = p * r + np.float32(1.3981999507e-3)
        p = p * r + np.float32(8.3334519073e-3)
        p = p * r + np.float32(4.1665795894e-2)
        p = p * r + np.float32(1.6666665459e-1)
        p = p * r + np.float32(5.0000001201e-1)
        out[lane] = p * r * r + r + one
        bits[lane] = (np.int32(t) + np.int32(127)) << np.int32(23)
    for lane in range(LANES):
        out[lane] *= power[lane]


@compiled
def _above_exponential(
    squared: Floats, level: Floats, weights: Floats, kernel: Kappa, scratch: Floats
) -> float:
    """Add up what a point adds to a block for the RBF and Laplace kernels."""
    similar = scratch[1]
    _exponentials(squared, kernel[0], kernel[1], scratch[0], similar)
    total = np.float32(0)
    for lane in range(LANES):
        rise = similar[lane] - np.float32(level[lane])
        total += max(rise, np.float32(0)) * np.float32(weights[lane])
    return float(total)


@compiled
def _above(
    squared: Floats,
    nearest: Floats,
    level: Floats,
    weights: Floats,
    kernel: Kappa,
    scratch: Floats,
) -> float:
    """Add up what a point adds to a block, for any κ: nothing where a pick is nearer."""
    shape, scale, tiebreak = kernel
    if shape == 0:
        return _above_distance(squared, level, weights)
    if (shape == 2 or shape == 3) and squared.itemsize == 4:
        return _above_exponential(squared, level, weights, kernel, scratch)
    total = 0.0
    zero = squared.dtype.type(0)
    for lane in range(LANES):
        here = max(squared[lane], zero)
        if here < nearest[lane]:
            rise = kappa(here, shape, scale, tiebreak) - level[lane]
            total += max(rise, 0.0) * weights[lane]
    return total


@compiled
def _gains(
    rows: Integers,
    count: int,
    blocks: Floats,
    squares: Floats,
    nearest: Floats,
    level: Floats,
    weights: Floats,
    kernel: Kappa,
    points: Floats,
    out: Floats,
    scratch: Floats,
    bounds: Floats,
) -> None:
    """Compute the gains of up to four rows and write them into their bounds."""
    own = np.zeros(TOGETHER, squares.dtype)
    for place in range(TOGETHER):
        row = rows[min(place, count - 1)]
        own[place] = squares.ravel()[row]
        for axis in range(blocks.shape[1]):
            points[place, axis] = -2 * blocks[row // LANES, axis, row % LANES]
    totals = np.zeros(TOGETHER)
    for b in range(blocks.shape[0]):
        _four(blocks[b], squares[b], points, own, out[0], out[1], out[2], out[3])
        for place in range(count):
            totals[place] += _above(out[place], nearest[b], level[b], weights[b], kernel, scratch)
    for place in range(count):
        bounds[rows[place]] = totals[place]


@compiled
def _cover(
    row: int,
    blocks: Floats,
    squares: Floats,
    nearest: Floats,
    level: Floats,
    kernel: Kappa,
    out: Floats,
) -> None:
    """Put a row into the set."""
    shape, scale, tiebreak = kernel
    zero = squares.dtype.type(0)
    own = squares.ravel()[row]
    point = -2 * blocks[row // LANES, :, row % LANES].copy()
    for b in range(blocks.shape[0]):
        here = out[0]
        for lane in range(LANES):
            here[lane] = squares[b, lane] + own
        for axis in range(blocks.shape[1]):
            for lane in range(LANES):
                here[lane] += point[axis] * blocks[b, axis, lane]
        for lane in range(LANES):
            squared = max(here[lane], zero)
            if squared < nearest[b, lane]:
                nearest[b, lane] = squared
                level[b, lane] = kappa(squared, shape, scale, tiebreak)


@compiled
def _gather(
    heap: Integers,
    size: int,
    bounds: Floats,
    stamp: Integers,
    step: int,
    keys: Integers,
    room: Integers,
    rows: Integers,
) -> tuple[int, int]:
    """Pop up to four stale rows that are open; return how many, and what is left in the heap."""
    count = 0
    while count < TOGETHER and size > 0 and stamp[heap[0]] != step:
        row = pop(heap, bounds, size)
        size -= 1
        if room[keys[row]] > 0:
            rows[count] = row
            count += 1
    return count, size


@compiled
def climb(
    blocks: Floats,
    squares: Floats,
    nearest: Floats,
    level: Floats,
    weights: Floats,
    kernel: Kappa,
    heap: Integers,
    bounds: Floats,
    stamp: Integers,
    keys: Integers,
    room: Integers,
    least: float,
    target: float,
    picks: Integers,
    gains: Floats,
) -> tuple[int, int]:
    """Make the picks of lazy greedy.

    Args:
        blocks: `[b, d, LANES]`: the rows.
        squares: `[b, LANES]`: their squared lengths, less rounding.
        nearest: `[b, LANES]`: squared distance to the nearest pick; −1 beyond the last row.
        level: `[b, LANES]`: κ of that; infinite beyond the last row.
        weights: `[b, LANES]`.
        kernel: Shape, scale and tie-break of κ.
        heap: `[m]`: the open rows, in any order.
        bounds: `[n]`: what each row adds at most.
        stamp: `[n]`: 0 where the bound is the gain now, −1 where it may be less.
        keys: `[n]`: the quota of each row.
        room: `[q]`: how many picks each quota has left; changed.
        least: Stop before a gain that is not above this.
        target: Stop once the gains sum to this.
        picks: `[k]`, filled.
        gains: `[k]`, filled.

    Returns:
        How many picks were made, and how many gains were computed.
    """
    size = len(heap)
    for place in range(size // 2, -1, -1):
        if place < size:
            sift_down(heap, bounds, place, size)
    points = np.empty((TOGETHER, blocks.shape[1]), blocks.dtype)
    out = np.empty((TOGETHER, LANES), blocks.dtype)
    scratch = np.empty((2, LANES), np.float32)
    rows = np.empty(TOGETHER, np.int64)
    step, asked, value = 0, 0, 0.0
    while step < len(picks) and size > 0 and value < target:
        count, size = _gather(heap, size, bounds, stamp, step, keys, room, rows)
        if count > 0:
            _gains(
                rows,
                count,
                blocks,
                squares,
                nearest,
                level,
                weights,
                kernel,
                points,
                out,
                scratch,
                bounds,
            )
            asked += count
            for place in range(count):
                stamp[rows[place]] = step
                push(heap, bounds, rows[place], size)
                size += 1
            continue
        if size == 0:
            break
        row = pop(heap, bounds, size)
        size -= 1
        if room[keys[row]] == 0:
            continue
        if not bounds[row] > least:
            break
        _cover(row, blocks, squares, nearest, level, kernel, out)
        picks[step], gains[step] = row, bounds[row]
        room[keys[row]] -= 1
        value += bounds[row]
        step += 1
    return step, asked
