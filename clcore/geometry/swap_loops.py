"""Compiled loops of the exchange of medoids. Import this module only where one runs."""

from __future__ import annotations

import numpy as np

from clcore.geometry.compiled import compiled
from clcore.geometry.kernel_loops import Floats, Integers


@compiled
def best_exchange(
    distances: Floats,
    first: Floats,
    second: Floats,
    owner: Integers,
    weights: Floats,
    removal: Floats,
    allowed: Integers,
    change: Floats,
) -> tuple[float, int]:
    """Find the medoid for which a row is exchanged best.

    Args:
        distances: `[n]`: of all rows to the one that would come in.
        first: `[n]`: distance to the nearest medoid.
        second: `[n]`: distance to the second nearest.
        owner: `[n]`: the place of the nearest medoid.
        weights: `[n]`.
        removal: `[k]`: by how much the total grows without each medoid.
        allowed: `[k]`: 1 for the medoids that may go out.
        change: `[k]`: room to work in.

    Returns:
        The change of the total, and the place of the medoid that goes out; −1 for none.
    """
    for place in range(len(change)):
        change[place] = removal[place]
    common = 0.0
    for x in range(len(distances)):
        away = distances[x]
        if away < first[x]:
            # The row goes to the newcomer, so it does not care whether its medoid goes.
            common += (away - first[x]) * weights[x]
            change[owner[x]] -= (second[x] - first[x]) * weights[x]
        elif away < second[x]:
            change[owner[x]] -= (second[x] - away) * weights[x]
    best, out = np.inf, -1
    for place in range(len(change)):
        if allowed[place] == 1 and change[place] < best:
            best, out = change[place], place
    return best + common, out


@compiled
def scan(
    distances: Floats,
    first: Floats,
    second: Floats,
    owner: Integers,
    weights: Floats,
    removal: Floats,
    keys: Integers,
    incoming: Integers,
    medoid_keys: Integers,
    change: Floats,
    allowed: Integers,
    result: Floats,
) -> None:
    """Find the best exchange of each of several rows, with the medoids as they are.

    Args:
        distances: `[m, n]`: of the rows that would come in.
        first: `[n]`: distance to the nearest medoid.
        second: `[n]`: distance to the second nearest.
        owner: `[n]`: the place of the nearest medoid.
        weights: `[n]`.
        removal: `[k]`: by how much the total grows without each medoid.
        keys: `[n]`: quota of each row; a row is exchanged for one of the same quota.
        incoming: `[m]`: the rows.
        medoid_keys: `[k]`: quota of each medoid; −1 for one that has to stay.
        change: `[k]`: room to work in.
        allowed: `[k]`: room to work in.
        result: `[m]`: the changes of the total, filled.
    """
    for j in range(len(incoming)):
        for place in range(len(allowed)):
            allowed[place] = 1 if medoid_keys[place] == keys[incoming[j]] else 0
        result[j] = best_exchange(
            distances[j], first, second, owner, weights, removal, allowed, change
        )[0]
