"""Compiled loops over a neighbour graph. Import this module only where one runs: needs numba."""

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
def pairs_in_block(
    squared: Floats,
    limit: float,
    row: int,
    rows: Integers,
    columns: Integers,
    away: Floats,
    at: int,
) -> int:
    """Write down the pairs of a block that are near, each once.

    Args:
        squared: `[m, p]`: squared distances of rows `row` to `row + m` to rows `row` to `row + p`.
        limit: The largest squared distance that is near.
        row: The first row.
        rows: `[e]`: the lower of each pair, filled from `at`.
        columns: `[e]`: the higher.
        away: `[e]`: their squared distance.
        at: How many pairs there are already.

    Returns:
        How many pairs there are then; −1 where there is no room for them.
    """
    for i in range(squared.shape[0]):
        for j in range(i + 1, squared.shape[1]):
            if squared[i, j] <= limit:
                if at == len(rows):
                    return -1
                rows[at], columns[at], away[at] = row + i, row + j, squared[i, j]
                at += 1
    return at


@compiled
def both_ways(
    n: int, rows: Integers, columns: Integers, away: Floats
) -> tuple[Integers, Integers, Floats]:
    """List for each row its partners in some pairs.

    Args:
        n: How many rows there are.
        rows: `[e]`: one of each pair.
        columns: `[e]`: the other.
        away: `[e]`: their squared distance.

    Returns:
        Starts `[n + 1]`, partners and squared distances; each row is its own partner, at 0.
    """
    starts = np.zeros(n + 1, np.int64)
    for x in range(n):
        starts[x + 1] = 1
    for pair in range(len(rows)):
        starts[rows[pair] + 1] += 1
        starts[columns[pair] + 1] += 1
    for x in range(n):
        starts[x + 1] += starts[x]
    fill = starts[:-1].copy()
    members = np.empty(starts[n], np.int32)
    distances = np.empty(starts[n], away.dtype)
    for x in range(n):
        members[fill[x]], distances[fill[x]] = x, 0
        fill[x] += 1
    for pair in range(len(rows)):
        for u, x in ((rows[pair], columns[pair]), (columns[pair], rows[pair])):
            members[fill[u]], distances[fill[u]] = x, away[pair]
            fill[u] += 1
    return starts, members, distances


@compiled
def worth(squared: Floats, kernel: Kappa, similar: Floats) -> None:
    """Compute κ of all entries of a graph.

    Args:
        squared: `[e]`: squared distances.
        kernel: Shape, scale and tie-break of κ.
        similar: `[e]`, filled.
    """
    shape, scale, tiebreak = kernel
    for place in range(len(squared)):
        similar[place] = kappa(squared[place], shape, scale, tiebreak)


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
    least: float,
    target: float,
    picks: Integers,
    gains: Floats,
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
        least: Stop before a gain that is not above this.
        target: Stop once the gains sum to this.
        picks: `[k]`, filled.
        gains: `[k]`, filled: what each pick adds, as far as the graph knows.

    Returns:
        How many picks were made.
    """
    size, step, value = len(heap), 0, 0.0
    stamp = np.full(len(bounds), -1)
    for place in range(size // 2, -1, -1):
        if place < size:
            sift_down(heap, bounds, place, size)
    while step < len(picks) and size > 0 and value < target:
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
        if not bounds[row] > least:
            break
        for place in range(starts[row], starts[row + 1]):
            x = members[place]
            if similar[place] > level[x]:
                level[x] = similar[place]
        picks[step], gains[step] = row, bounds[row]
        value += bounds[row]
        bounds[row] = -np.inf
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
        kernel: Shape, scale and tie-break of κ.
        gains: `[k]`: added to: what each pick brings to these rows.
    """
    shape, scale, tiebreak = kernel
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
                similar = kappa(squared, shape, scale, tiebreak)
                gains[first + place] += weights[x] * max(similar - level[x], 0.0)
                nearest[x], level[x], place_of[x] = squared, similar, first + place
