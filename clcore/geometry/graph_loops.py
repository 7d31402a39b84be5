"""Compiled loops over a neighbour graph. Import this module only where one runs: needs numba."""

from __future__ import annotations

import numpy as np

from clcore.geometry.coverage_loops import (
    Floats,
    Integers,
    compiled,
    kappa,
    pop,
    push,
    sift_down,
)

Kappa = tuple[int, float, float, float]


@compiled
def turned_round(rows: Integers, squared: Floats) -> tuple[Integers, Integers, Floats]:
    """List for each row those that have it among their neighbours.

    Args:
        rows: `[n, K]`: neighbours, −1 for none.
        squared: `[n, K]`: their squared distances.

    Returns:
        Starts `[n + 1]`, rows and squared distances of the entries; each row has itself, at 0.
    """
    n, width = rows.shape
    starts = np.zeros(n + 1, np.int64)
    for x in range(n):
        starts[x + 1] += 1
        for place in range(width):
            u = rows[x, place]
            if u >= 0 and u != x:
                starts[u + 1] += 1
    for u in range(n):
        starts[u + 1] += starts[u]
    fill = starts[:-1].copy()
    members = np.empty(starts[n], np.int32)
    distances = np.empty(starts[n], np.float32)
    for x in range(n):
        members[fill[x]], distances[fill[x]] = x, 0
        fill[x] += 1
        for place in range(width):
            u = rows[x, place]
            if u >= 0 and u != x:
                members[fill[u]], distances[fill[u]] = x, squared[x, place]
                fill[u] += 1
    return starts, members, distances


@compiled
def worth(squared: Floats, shape: int, scale: float, reach: float, tiebreak: float) -> Floats:
    """Compute κ of all entries of a graph."""
    out = np.empty_like(squared)
    for place in range(len(squared)):
        out[place] = kappa(squared[place], shape, scale, reach, tiebreak)
    return out


@compiled
def _gain(
    u: int, starts: Integers, members: Integers, similar: Floats, level: Floats, weights: Floats
) -> float:
    total = 0.0
    for place in range(starts[u], starts[u + 1]):
        x = members[place]
        rise = similar[place] - level[x]
        if rise > 0:
            total += rise * weights[x]
    return total


@compiled
def graph_gains(
    open_rows: Integers,
    starts: Integers,
    members: Integers,
    similar: Floats,
    level: Floats,
    weights: Floats,
    bounds: Floats,
) -> None:
    """Write what each open row adds, as far as the graph knows, into its bound."""
    for u in open_rows:
        bounds[u] = _gain(u, starts, members, similar, level, weights)


@compiled
def graph_climb(
    starts: Integers,
    members: Integers,
    similar: Floats,
    level: Floats,
    weights: Floats,
    heap: Integers,
    bounds: Floats,
    keys: Integers,
    room: Integers,
    picks: Integers,
) -> int:
    """Make picks by lazy greedy over a graph.

    Args:
        starts: `[n + 1]`: where the entries of each row begin.
        members: `[e]`: the rows that a row covers.
        similar: `[e]`: κ of their distance.
        level: `[n]`: κ of the distance to the nearest pick; changed.
        weights: `[n]`.
        heap: `[m]`: the open rows; used up.
        bounds: `[n]`: what each row adds at most; changed, minus infinity for what was picked.
        keys: `[n]`: the quota of each row.
        room: `[q]`: how many picks each quota has left; changed.
        picks: `[k]`, filled.

    Returns:
        How many picks were made: fewer than asked for only where no row is open any more.
    """
    size, step = len(heap), 0
    stamp = np.full(len(bounds), -1)
    for place in range(size // 2, -1, -1):
        if place < size:
            sift_down(heap, bounds, place, size)
    while step < len(picks) and size > 0:
        row = pop(heap, bounds, size)
        size -= 1
        if room[keys[row]] == 0:
            continue
        if stamp[row] != step:
            bounds[row] = _gain(row, starts, members, similar, level, weights)
            stamp[row] = step
            push(heap, bounds, row, size)
            size += 1
            continue
        for place in range(starts[row], starts[row + 1]):
            x = members[place]
            if similar[place] > level[x]:
                level[x] = similar[place]
        bounds[row] = -np.inf
        picks[step] = row
        room[keys[row]] -= 1
        step += 1
    return step


@compiled
def listed_level(
    picks: Integers, starts: Integers, members: Integers, similar: Floats, level: Floats
) -> None:
    """Raise the level of the rows to what the graph alone knows of some picks.

    Args:
        picks: `[k]`.
        starts: `[n + 1]`: where the entries of each row begin.
        members: `[e]`: the rows that a row covers.
        similar: `[e]`: κ of their distance.
        level: `[n]`; changed.
    """
    for row in picks:
        for place in range(starts[row], starts[row + 1]):
            x = members[place]
            level[x] = max(level[x], similar[place])


@compiled
def settle(
    partial: Floats,
    own: Floats,
    first: int,
    nearest: Floats,
    level: Floats,
    place_of: Integers,
    weights: Floats,
    kernel: Kappa,
    gains: Floats,
) -> None:
    """Compare rows with new picks, in pick order, exactly.

    Args:
        partial: `[m, p]`: squared distances of m rows to p picks, less the rows' own squares.
        own: `[m]`: those squares.
        first: The number of the first of the picks.
        nearest: `[m]`: squared distance to the nearest pick; changed.
        level: `[m]`: κ of that; changed.
        place_of: `[m]`: the number of the nearest pick; changed.
        weights: `[m]`.
        kernel: Shape, scale, reach and tie-break of κ.
        gains: `[k]`: added to: what each pick brings to these rows.
    """
    shape, scale, reach, tiebreak = kernel
    for x in range(partial.shape[0]):
        bound = nearest[x] - own[x]
        least = partial[x, 0]
        for place in range(1, partial.shape[1]):
            least = min(least, partial[x, place])
        if not least < bound:
            continue
        for place in range(partial.shape[1]):
            if partial[x, place] < bound:
                bound = partial[x, place]
                squared = max(bound + own[x], 0.0)
                similar = kappa(squared, shape, scale, reach, tiebreak)
                gains[first + place] += weights[x] * max(similar - level[x], 0.0)
                nearest[x], level[x], place_of[x] = squared, similar, first + place
