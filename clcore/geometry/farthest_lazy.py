"""Farthest-first with stale bounds: most distances are never computed, the picks are the same.

The distance of a row to its nearest centre only falls, so an old value is an upper bound. Rows
whose bound is above a floor are *active* and kept up to date with every pick; the others can be
neither the farthest nor the radius and are left alone. When no active row is above the floor any
more, the floor is lowered to let in the next few thousand, which then see the centres that they
missed, oldest first, and drop out again as soon as they fall to the floor. No pair is computed
twice, the active rows stay in the cache, and nothing is sorted.

This module imports numba: import it inside functions.
"""

from __future__ import annotations

import math

import numpy as np

from clcore.geometry.compiled import Array, compiled, exact_squared, nearer

STEPS = 9
"""A power of two is split into 2⁹ bins when the floor is looked for: 0.2 % wide at least."""

BINS = 16 << STEPS
"""Values smaller by more than 2¹⁶ than the largest share the last bin."""


@compiled
def find_floor(bound: Array, target: int, bins: Array) -> float:
    """Find a floor that about `target` bounds are above; −1, with all above it, if there is none.

    The bins are those of the leading bits of the number, so that a far outlier doesn't swallow
    all others into one bin.
    """
    if target >= bound.size:
        return -1.0
    shift = 52 - STEPS
    bits = bound.view(np.int64)
    highest = bits.max() >> shift
    bins[:] = 0
    for row in range(bits.size):
        bins[min(highest - (bits[row] >> shift), BINS - 1)] += 1
    above = 0
    for place in range(BINS - 1):
        above += bins[place]
        if above >= target:
            edge = np.empty(1, np.int64)
            edge[0] = ((highest - place) << shift) - 1
            return float(edge.view(np.float64)[0]) if edge[0] > 0 else -1.0
    return -1.0


@compiled
def admit(
    rows: Array, centres: Array, count: int, bound: Array, seen: Array, active: Array,
    floor: float, factor: float,
) -> tuple[int, int]:  # fmt: skip
    """Make all rows above the floor active; returns how many, and the pairs computed."""
    size, pairs = 0, 0
    for row in range(bound.size):
        if bound[row] > floor:
            before = seen[row]
            bound[row], seen[row] = nearer(
                rows, row, centres, before, count, bound[row], floor, factor
            )
            pairs += seen[row] - before
            if bound[row] > floor:
                active[size] = row
                size += 1
    return size, pairs


@compiled
def show(
    rows: Array, centres: Array, count: int, bound: Array, seen: Array, active: Array, size: int,
    floor: float, factor: float,
) -> int:  # fmt: skip
    """Show the newest centre to the active rows; returns how many stay active."""
    kept = 0
    for place in range(size):
        row = active[place]
        bound[row], seen[row] = nearer(
            rows, row, centres, count - 1, count, bound[row], -1.0, factor
        )
        if bound[row] > floor:
            active[kept] = row
            kept += 1
    return kept


@compiled
def farthest(
    bound: Array, active: Array, size: int, is_open: Array, ignored: int
) -> tuple[float, int]:
    """Find the radius and the next pick among the active rows.

    Args:
        bound: Squared distances of all rows, up to date for the active ones.
        active: Rows, ascending.
        size: How many of them count.
        is_open: Which rows may be picked.
        ignored: How many of the farthest are passed over; less than `size`.

    Returns:
        The largest value but `ignored`, and the farthest open row from there on, −1 if none.
    """
    radius = -1.0
    if ignored:
        radius = np.partition(bound[active[:size]], size - 1 - ignored)[size - 1 - ignored]
    else:
        for place in range(size):
            radius = max(radius, bound[active[place]])
    skip = ignored
    for place in range(size):
        if bound[active[place]] > radius:
            skip -= 1
    best, pick = -1.0, -1
    for place in range(size):
        row = active[place]
        if bound[row] == radius and skip > 0:
            skip -= 1
        elif best < bound[row] <= radius and is_open[row]:
            best, pick = bound[row], row
    return radius, pick


@compiled
def last_resort(bound: Array, is_open: Array) -> int:
    """Return the nearest open row, the last of those that are equally near."""
    pick = -1
    for row in range(bound.size):
        if is_open[row] and (pick < 0 or bound[row] <= bound[pick]):
            pick = row
    return pick


@compiled
def close(row: int, is_open: Array, keys: Array, left: Array) -> None:
    """Close a row, and its whole label where that used up a quota."""
    is_open[row] = False
    if keys.size:
        key = keys[row]
        left[key] -= 1
        if left[key] == 0:
            for other in range(keys.size):
                if keys[other] == key:
                    is_open[other] = False


@compiled
def traverse(
    rows: Array, centres: Array, count: int, k: int, first: int, is_open: Array, keys: Array,
    left: Array, ignored: int, stop: float, factor: float, target: int,
) -> tuple[Array, Array, int, int]:  # fmt: skip
    """Pick rows farthest-first.

    Args:
        rows: `[n, d]`.
        centres: `[count + k, d]`: what is taken already, and room for the picks.
        count: How many centres there are already.
        k: How many to pick.
        first: The first pick; −1 for the farthest.
        is_open: Which rows may be picked, `[n]`; changed in place.
        keys: The quota that each row counts for, `[n]`; empty without quotas.
        left: How many picks each quota has left; changed in place.
        ignored: How many of the farthest rows are passed over in each step; less than n.
        stop: Stop once the radius is not above this.
        factor: Of `rounding`.
        target: How many rows are to be active after the floor was lowered.

    Returns:
        The picks; the radius before each and, at the end, after all; their number; the pairs
        computed.
    """
    size_of_pool = rows.shape[0]
    picks, radii = np.empty(k, np.int64), np.full(k + 1, np.inf)
    bound, seen = np.full(size_of_pool, np.inf), np.zeros(size_of_pool, np.int64)
    active, bins = np.empty(size_of_pool, np.int64), np.empty(BINS, np.int64)
    floor, size, pairs, made, since = np.inf, 0, 0, 0, 0
    while True:
        row = first
        if made or first < 0:
            if seen[0] == 0:  # nothing was compared yet
                for other in range(size_of_pool):
                    bound[other], seen[other] = exact_squared(rows, other, centres, 0), 1
                pairs += size_of_pool
            radius, row = -1.0, -1
            while True:
                if size > ignored:
                    radius, row = farthest(bound, active, size, is_open, ignored)
                    if row >= 0 or made == k or floor < 0:
                        break
                lower = find_floor(bound, target, bins)
                if lower >= floor or 2 * size >= target:
                    target *= 2  # rows that may not be picked are in the way
                floor, since = min(lower, floor), 0
                size, new = admit(rows, centres, count, bound, seen, active, floor, factor)
                pairs += new
            radii[made] = math.sqrt(radius)
            if made == k or radii[made] <= stop:
                break
            if row < 0:
                row = last_resort(bound, is_open)
        picks[made] = row
        centres[count] = rows[row]
        made, count, since = made + 1, count + 1, since + 1
        close(row, is_open, keys, left)
        pairs += size
        size = show(rows, centres, count, bound, seen, active, size, floor, factor)
        if since >= 16 and size > 4 * target:
            floor, since = max(floor, find_floor(bound, target, bins)), 0
            size, _ = admit(rows, centres, count, bound, seen, active, floor, factor)
    return picks, radii, made, pairs
