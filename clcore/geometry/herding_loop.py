"""Herding with bytes: most scores are known well enough from a quarter of the memory traffic.

A pick is the row with the largest score ⟨x, w⟩ − ‖x‖² / 2, where w changes with every pick, so
every row is looked at in every step and memory limits the speed. Each row is kept rounded to
bytes, x = y + r, and w to 16 bits, w = v + s. Then ⟨y, v⟩ is a sum of small whole numbers, and by
Cauchy–Schwarz it is off by no more than ‖r‖ ‖w‖ + ‖y‖ ‖s‖. The few rows that could be the best
within these bounds are computed from the rows as stored, in double precision. So the picks are
those of double precision, whatever the rounding.

Rows are centred: with the mean μ, ⟨x − μ, −Σ (p − μ)⟩ − ‖x − μ‖² / 2 differs from herding's own
score by what is the same for all rows.

This module imports numba: import it inside functions.
"""

from __future__ import annotations

import math

import numpy as np

from clcore.geometry.compiled import Array, compiled

LARGEST_BYTE = 127

TIE = 1e-13
"""Scores that differ by less than this share of their terms count as equal."""


@compiled
def lengths(rows: Array) -> Array:
    """Return the Euclidean length of every row, in double precision: `[n]`."""
    out = np.empty(rows.shape[0])
    for row in range(rows.shape[0]):
        total = 0.0
        for axis in range(rows.shape[1]):
            value = np.float64(rows[row, axis])
            total += value * value
        out[row] = math.sqrt(total)
    return out


@compiled
def weighted_mean(rows: Array, members: Array, scale: Array, shares: Array) -> Array:
    """Return Σ share · scale · row over the members, in double precision: `[d]`."""
    mean = np.zeros(rows.shape[1])
    for place in range(members.size):
        row = members[place]
        factor = shares[place] * scale[row]
        for axis in range(mean.size):
            mean[axis] += factor * np.float64(rows[row, axis])
    return mean


@compiled
def centred(rows: Array, row: int, scale: Array, mean: Array, out: Array) -> None:
    """Write scale · row − mean into `out`, in double precision."""
    factor = scale[row]
    for axis in range(mean.size):
        out[axis] = factor * np.float64(rows[row, axis]) - mean[axis]


@compiled
def exact_score(rows: Array, row: int, scale: Array, mean: Array, lag: Array) -> float:
    """Return the score of a row in double precision."""
    total, factor = 0.0, scale[row]
    for axis in range(mean.size):
        value = factor * np.float64(rows[row, axis]) - mean[axis]
        total += value * (lag[axis] - value / 2)
    return float(total)


@compiled
def widest(size: int) -> int:
    """Return the largest number to round w to, so that a sum of `size` products fits 32 bits."""
    return min(32767, (2**31 - 1) // (LARGEST_BYTE * size))


@compiled
def pack(
    rows: Array, members: Array, scale: Array, mean: Array
) -> tuple[Array, Array, Array, Array]:
    """Round the centred rows to bytes.

    Args:
        rows: `[n, d]`.
        members: The rows of the herd, `[m]`.
        scale: float64 `[n]`: what each row is multiplied by first.
        mean: float64 `[d]`.

    Returns:
        Bytes `[m, d]`; the step between two of them, `[m]`; minus half the squared length of each
        row, `[m]`; and by how much a score may be off, as a multiple of ‖w‖, `[m]`.
    """
    size, axes = members.size, mean.size
    packed = np.empty((size, axes), np.int8)
    step, half = np.empty(size, np.float32), np.empty(size, np.float32)
    slack = np.empty(size, np.float32)
    value = np.empty(axes)
    for place in range(size):
        centred(rows, members[place], scale, mean, value)
        most, square = 0.0, 0.0
        for axis in range(axes):
            most = max(most, abs(value[axis]))
            square += value[axis] * value[axis]
        step[place] = most / LARGEST_BYTE
        width = np.float64(step[place])
        rest, kept = 0.0, 0.0
        for axis in range(axes):
            number = 0.0
            if width > 0:
                number = min(max(np.rint(value[axis] / width), -127.0), 127.0)
            packed[place, axis] = np.int8(number)
            left = value[axis] - number * width
            rest += left * left
            kept += number * width * number * width
        half[place] = -square / 2
        # ‖s‖ is at most √d / 2 roundings of w, whose largest part is at most ‖w‖. The last term
        # is the rounding of the score itself to single precision.
        coarse = math.sqrt(axes) / (2 * widest(axes)) + 1e-6
        slack[place] = (math.sqrt(rest) + math.sqrt(kept) * coarse) * 1.000001
    return packed, step, half, slack


@compiled
def product(packed: Array, place: int, vector: Array) -> int:
    """Return the inner product of a row of bytes and a 16-bit vector."""
    total = np.int32(0)
    for axis in range(packed.shape[1]):
        # Cast back at each step: numba would go on in 64 bits, for which there is no fast way.
        part = np.int32(np.int32(packed[place, axis]) * np.int32(vector[axis]))
        total = np.int32(total + part)
    return int(total)


@compiled
def best_row(
    rows: Array, members: Array, scale: Array, mean: Array, packed: Array, step: Array,
    half: Array, slack: Array, is_open: Array, lag: Array, vector: Array, candidates: Array,
    upper: Array,
) -> int:  # fmt: skip
    """Return the place of the open row with the largest score, the first of equals; −1 if none.

    Args:
        rows: `[n, d]`.
        members: The rows of the herd, `[m]`.
        scale: float64 `[n]`.
        mean: float64 `[d]`.
        packed: Of `pack`.
        step: Of `pack`.
        half: Of `pack`.
        slack: Of `pack`.
        is_open: Which members may be picked, `[m]`.
        lag: w, float64 `[d]`.
        vector: Room for w in 16 bits, `[d]`.
        candidates: Room for places, `[m]`.
        upper: Room for their upper bounds, float64 `[m]`.
    """
    axes = lag.size
    most, square = 0.0, 0.0
    for axis in range(axes):
        most = max(most, abs(lag[axis]))
        square += lag[axis] * lag[axis]
    width = most / widest(axes)
    for axis in range(axes):
        vector[axis] = np.int16(np.rint(lag[axis] / width)) if width > 0 else np.int16(0)
    length, grain = np.float32(math.sqrt(square) * 1.000001), np.float32(width)
    count, least = 0, np.float32(-np.inf)
    for place in range(members.size):
        if is_open[place]:
            score = step[place] * grain * np.float32(product(packed, place, vector)) + half[place]
            margin = slack[place] * length - np.float32(1e-6) * half[place]
            if score + margin >= least:
                candidates[count], upper[count] = place, score + margin
                count += 1
                least = max(least, score - margin)
    best, largest = -np.inf, 0.0
    for other in range(count):
        if upper[other] >= least:
            place = candidates[other]
            upper[other] = exact_score(rows, members[place], scale, mean, lag)
            best = max(best, upper[other])
            largest = max(largest, -np.float64(half[place]))
        else:
            upper[other] = -np.inf
    # What agrees but for the rounding of double precision is a tie: the first row has it.
    least64 = best - TIE * (largest + math.sqrt(2 * largest * square))
    for other in range(count):
        if upper[other] >= least64:
            return int(candidates[other])
    return -1


@compiled
def herd(
    rows: Array, members: Array, scale: Array, mean: Array, packed: Array, step: Array,
    half: Array, slack: Array, is_open: Array, lag: Array, count: int, picks: Array,
    distances: Array,
) -> int:  # fmt: skip
    """Pick rows whose running mean follows the mean of the herd.

    Args:
        rows: `[n, d]`.
        members: The rows of the herd, `[m]`, ascending.
        scale: float64 `[n]`: what each row is multiplied by first.
        mean: float64 `[d]`.
        packed: Of `pack`.
        step: Of `pack`.
        half: Of `pack`.
        slack: Of `pack`.
        is_open: Which members may be picked, `[m]`; changed in place.
        lag: −Σ (p − mean) over the picks so far, float64 `[d]`; changed in place.
        count: How many picks there are so far.
        picks: Room for the places of the picks, `[k]`.
        distances: Room for ‖mean − mean of the picks‖ after each, `[k]`.

    Returns:
        How many picks were made; fewer than there is room for where no more may be picked.
    """
    vector, value = np.empty(lag.size, np.int16), np.empty(lag.size)
    candidates, upper = np.empty(members.size, np.int64), np.empty(members.size)
    for made in range(picks.size):
        place = best_row(
            rows, members, scale, mean, packed, step, half, slack, is_open, lag, vector,
            candidates, upper,
        )  # fmt: skip
        if place < 0:
            return made
        is_open[place] = False
        centred(rows, members[place], scale, mean, value)
        square = 0.0
        for axis in range(lag.size):
            lag[axis] -= value[axis]
            square += lag[axis] * lag[axis]
        count += 1
        picks[made], distances[made] = place, math.sqrt(square) / count
    return picks.size
