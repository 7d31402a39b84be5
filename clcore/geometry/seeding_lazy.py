"""D² seeding by rejection: drawn by stale masses, accepted by fresh ones, so the draw is exact.

The distance of a row to its nearest centre only falls, so the mass that an old value gives is an
upper bound. A row is drawn by its stale mass m′, brought up to date, and accepted with probability
m / m′; otherwise it keeps its new mass and another is drawn. Each draw that is accepted has the
distribution of the fresh masses, whatever the state of the others. A row is shown only the centres
it missed, and no more once it can't be accepted; rows that are never drawn are never looked at.

The masses lie in a tree of sums, each the sum of the two below it, so nothing drifts. Randomness
comes from splitmix64 (Steele, Lea & Flood 2014) with its state in an array of ours.

This module imports numba: import it inside functions.
"""

from __future__ import annotations

import numpy as np

from clcore.geometry.compiled import Array, compiled, exact_squared, nearer, quick_squared
from clcore.geometry.farthest_lazy import close


@compiled
def draw_uniform(state: Array) -> float:
    """Advance the generator and return a number in [0, 1) with 53 random bits."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    mixed = state[0]
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = mixed ^ (mixed >> np.uint64(31))
    return float(mixed >> np.uint64(11)) * 2.0**-53


@compiled
def fill_tree(tree: Array, mass: Array) -> None:
    """Write the masses into the leaves and the sums above them."""
    leaves = tree.size // 2
    tree[leaves : leaves + mass.size] = mass
    tree[leaves + mass.size :] = 0.0
    for node in range(leaves - 1, 0, -1):
        tree[node] = tree[2 * node] + tree[2 * node + 1]


@compiled
def change_leaf(tree: Array, row: int, mass: float) -> None:
    """Change the mass of one row."""
    node = tree.size // 2 + row
    tree[node] = mass
    node //= 2
    while node:
        tree[node] = tree[2 * node] + tree[2 * node + 1]
        node //= 2


@compiled
def draw_leaf(tree: Array, threshold: float) -> int:
    """Return the row at a threshold below the sum of all; never one without mass."""
    leaves = tree.size // 2
    node = 1
    while node < leaves:
        left, right = tree[2 * node], tree[2 * node + 1]
        node *= 2
        if threshold >= left and right > 0:
            threshold -= left
            node += 1
    return node - leaves


@compiled
def mass_of(weight: float, squared: float, power: float) -> float:
    """Return the mass of a row at a squared distance."""
    return weight * squared if power == 2.0 else weight * squared ** (power / 2)


@compiled
def masses(bound: Array, weights: Array, is_open: Array, power: float) -> Array:
    """Return the stale masses of all rows: `[n]`; 0 where a row may not be picked."""
    mass = np.zeros(bound.size)
    for row in range(bound.size):
        if is_open[row]:
            mass[row] = mass_of(weights[row], bound[row], power)
    return mass


@compiled
def draw_without_distance(tree: Array, weights: Array, is_open: Array, state: Array) -> int:
    """Draw an open row by weight; where none has any, uniformly."""
    fill_tree(tree, np.where(is_open, weights, 0.0))
    if not tree[1] > 0:
        fill_tree(tree, np.where(is_open, 1.0, 0.0))
    return draw_leaf(tree, draw_uniform(state) * tree[1])


@compiled
def draw_by_distance(
    rows: Array, centres: Array, count: int, bound: Array, seen: Array, weights: Array,
    power: float, tree: Array, state: Array, factor: float,
) -> tuple[int, int]:  # fmt: skip
    """Draw an open row by its fresh mass; returns it (−1: none has any) and the pairs computed."""
    pairs = 0
    while tree[1] > 0:
        row = draw_leaf(tree, draw_uniform(state) * tree[1])
        # Accepted if the fresh mass is above this share of the stale one.
        floor = bound[row] * draw_uniform(state) ** (2 / power)
        before = seen[row]
        bound[row], seen[row] = nearer(rows, row, centres, before, count, bound[row], floor, factor)
        pairs += seen[row] - before
        if bound[row] > floor:
            return row, pairs
        change_leaf(tree, row, mass_of(weights[row], bound[row], power))
    return -1, pairs


@compiled
def seed_centres(
    rows: Array, centres: Array, count: int, k: int, weights: Array, power: float, is_open: Array,
    keys: Array, left: Array, state: Array, factor: float,
) -> tuple[Array, int]:  # fmt: skip
    """Draw rows in proportion to a power of the distance to the nearest centre.

    Args:
        rows: `[n, d]`.
        centres: `[count + k, d]`: what is taken already, and room for the picks.
        count: How many centres there are already.
        k: How many to draw.
        weights: float64 `[n]`: factors of the mass.
        power: Of the distance.
        is_open: Which rows may be picked, `[n]`; changed in place.
        keys: The quota that each row counts for, `[n]`; empty without quotas.
        left: How many picks each quota has left; changed in place.
        state: uint64 `[1]`: of the generator; changed in place.
        factor: Of `rounding`.

    Returns:
        The picks, and the pairs computed.
    """
    n = rows.shape[0]
    picks = np.empty(k, np.int64)
    bound, seen = np.empty(n), np.ones(n, np.int64)
    leaves = 1
    while leaves < n:
        leaves *= 2
    tree = np.zeros(2 * leaves)
    begun, filled, pairs = False, False, 0
    for step in range(k):
        row = -1
        if count and not filled:
            if not begun:  # all rows see the first centre
                for other in range(n):
                    bound[other] = exact_squared(rows, other, centres, 0)
                begun, pairs = True, n
            fill_tree(tree, masses(bound, weights, is_open, power))
            filled = True
        if count:
            row, new = draw_by_distance(
                rows, centres, count, bound, seen, weights, power, tree, state, factor
            )
            pairs += new
        if row < 0:
            row, filled = draw_without_distance(tree, weights, is_open, state), False
        picks[step] = row
        centres[count] = rows[row]
        count += 1
        close(row, is_open, keys, left)
        change_leaf(tree, row, 0.0)
        if keys.size and left[keys[row]] == 0:
            filled = False  # other rows were closed too
    return picks, pairs


@compiled
def falls(rows: Array, centres: Array, given: int, factor: float) -> Array:
    """Sum up by how much each centre brings down the squared distances to the nearest.

    Args:
        rows: `[n, d]`.
        centres: `[given + k, d]`, in the order in which they were taken.
        given: How many of them were there from the start.
        factor: Of `rounding`.

    Returns:
        `[k]`: the sum over all rows; for the very first centre, which nothing was before, 0.
    """
    total = np.zeros(centres.shape[0] - given)
    first = max(given, 1)
    for row in range(rows.shape[0]):
        least, _ = nearer(rows, row, centres, 0, first, np.inf, -1.0, factor)
        limit = least * factor
        for centre in range(first, centres.shape[0]):
            if quick_squared(rows, row, centres, centre) <= limit:
                exact = exact_squared(rows, row, centres, centre)
                if exact < least:
                    total[centre - given] += least - exact
                    least = exact
                    limit = least * factor
    return total
