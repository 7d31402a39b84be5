"""Compiled loops of the growing non-negative least squares; imported when first needed."""

from __future__ import annotations

import numpy as np

from clcore.geometry.compiled import Array, compiled


@compiled
def _dot(left: Array, right: Array, count: int) -> float:
    total = 0.0
    for i in range(count):
        total += left[i] * right[i]
    return total


@compiled
def append(
    gram: Array,
    target: Array,
    ridge: float,
    factor: Array,
    half: Array,
    order: Array,
    p: int,
    j: int,
) -> bool:
    """Extend the Cholesky factor of the passive variables by variable `j`.

    Args:
        gram: float64 `[m, m]`.
        target: float64 `[m]`.
        ridge: Added to the diagonal.
        factor: float64 `[m, m]`: lower triangular, of the `p` passive ones; gets a row.
        half: float64 `[m]`: factor⁻¹ target of the passive ones; gets an entry.
        order: int64 `[m]`: the passive variables in the factor's order; gets an entry.
        p: How many are passive.
        j: The new one.

    Returns:
        False, with nothing extended, where `j` is a combination of the passive ones up to rounding.
    """
    row = factor[p]
    for i in range(p):
        row[i] = (gram[j, order[i]] - _dot(factor[i], row, i)) / factor[i, i]
    diagonal = gram[j, j] + ridge
    pivot = diagonal - _dot(row, row, p)
    if pivot <= 1e-11 * diagonal:
        return False
    row[p] = np.sqrt(pivot)
    half[p] = (target[j] - _dot(row, half, p)) / row[p]
    order[p] = j
    return True


@compiled
def _remove(factor: Array, half: Array, order: Array, p: int, q: int) -> None:
    """Take the variable at place `q` out of the factor, by plane rotations."""
    for i in range(q, p - 1):
        order[i] = order[i + 1]
        factor[i, : i + 2] = factor[i + 1, : i + 2]
    for j in range(q, p - 1):
        # Rotate columns j and j + 1 so that the entry above the diagonal becomes 0.
        length = np.hypot(factor[j, j], factor[j, j + 1])
        cosine, sine = factor[j, j] / length, factor[j, j + 1] / length
        factor[j, j] = length
        factor[j, j + 1] = 0.0
        for i in range(j + 1, p - 1):
            left, right = factor[i, j], factor[i, j + 1]
            factor[i, j] = cosine * left + sine * right
            factor[i, j + 1] = cosine * right - sine * left
        left, right = half[j], half[j + 1]
        half[j] = cosine * left + sine * right
        half[j + 1] = cosine * right - sine * left


@compiled
def _solve(factor: Array, half: Array, p: int, answer: Array) -> None:
    """Solve factorᵀ answer = half, row by row of the factor."""
    answer[:p] = half[:p]
    for i in range(p - 1, -1, -1):
        answer[i] /= factor[i, i]
        for j in range(i):
            answer[j] -= answer[i] * factor[i, j]


@compiled
def _step_back(
    factor: Array, half: Array, order: Array, p: int, weights: Array, answer: Array
) -> int:
    """Go towards the answer until the first weights are 0, and take those out.

    Returns:
        How many are passive still.
    """
    share, first = 2.0, -1
    for i in range(p):
        if answer[i] <= 0:
            here = weights[order[i]] / (weights[order[i]] - answer[i])
            if here < share:
                share, first = here, i
    for i in range(p - 1, -1, -1):
        weight = weights[order[i]] + share * (answer[i] - weights[order[i]])
        # The one that set the share is 0 but for rounding.
        if i == first or (answer[i] <= 0 and weight <= 0):
            weights[order[i]] = 0.0
            _remove(factor, half, order, p, i)
            p -= 1
        else:
            weights[order[i]] = max(weight, 0.0)
    return p


@compiled
def _most_wanted(
    gram: Array,
    target: Array,
    weights: Array,
    order: Array,
    p: int,
    m: int,
    barred: Array,
    slack: float,
) -> int:
    """Return the variable at 0 that would lower the residual fastest, or −1."""
    best, wanted = -1, 0.0
    for j in range(m):
        if weights[j] > 0 or barred[j]:
            continue
        slope = target[j]
        for i in range(p):
            slope -= gram[j, order[i]] * weights[order[i]]
        if slope > slack * np.sqrt(gram[j, j]) and slope > wanted:
            best, wanted = j, slope
    return best


@compiled
def refit(
    gram: Array,
    target: Array,
    ridge: float,
    slack: float,
    factor: Array,
    half: Array,
    order: Array,
    weights: Array,
    p: int,
    m: int,
) -> int:
    """Minimise wᵀ(G + ridge) w − 2 targetᵀ w over w ≥ 0, from the weights that there are.

    Args:
        gram: float64 `[size, size]`; the leading `[m, m]` count.
        target: float64 `[size]`.
        ridge: Added to the diagonal.
        slack: A slope below this times the length of the variable counts as 0.
        factor: float64 `[size, size]`: the Cholesky factor of the passive variables; kept up.
        half: float64 `[size]`: factor⁻¹ target of the passive ones; kept up.
        order: int64 `[size]`: the passive ones in the factor's order; kept up.
        weights: float64 `[size]`: changed in place.
        p: How many are passive.
        m: How many variables there are.

    Returns:
        How many are passive now.
    """
    answer = np.empty(m)
    barred = np.zeros(m, dtype=np.bool_)
    # Every round lowers the objective, so no passive set comes twice; the bound is for rounding.
    for _ in range(10 * m + 10):
        j = _most_wanted(gram, target, weights, order, p, m, barred, slack)
        if j < 0:
            break
        if not append(gram, target, ridge, factor, half, order, p, j):
            barred[j] = True
            continue
        _solve(factor, half, p + 1, answer)
        if answer[p] <= 0:  # the slope was rounding
            barred[j] = True
            continue
        p += 1
        while p > 0 and answer[:p].min() <= 0:
            p = _step_back(factor, half, order, p, weights, answer)
            _solve(factor, half, p, answer)
        for i in range(p):
            weights[order[i]] = answer[i]
        barred[:] = False
        barred[j] = weights[j] == 0
    return p


@compiled
def values_with(
    gram: Array,
    target: Array,
    ridge: float,
    slack: float,
    factor: Array,
    half: Array,
    order: Array,
    weights: Array,
    p: int,
    m: int,
    columns: Array,
    diagonals: Array,
    targets: Array,
) -> Array:
    """Compute the value after adding each of some variables alone; nothing is changed.

    Args:
        gram: As in `refit`, with room for one more variable; its row `m` is overwritten.
        target: Likewise.
        ridge: As in `refit`.
        slack: As in `refit`.
        factor: As in `refit`, with room for one more.
        half: Likewise.
        order: Likewise.
        weights: Likewise; the entry `m` is 0.
        p: How many are passive.
        m: How many variables there are.
        columns: float64 `[r, m]`: the inner products of each new variable with the old ones.
        diagonals: float64 `[r]`: their squared lengths.
        targets: float64 `[r]`: their inner products with what is to be matched.

    Returns:
        float64 `[r]`: targetᵀ w at the minimum, which is by how much the objective has fallen.
    """
    values = np.empty(len(targets))
    for r in range(len(targets)):
        gram[m, :m] = columns[r]
        gram[:m, m] = columns[r]
        gram[m, m] = diagonals[r]
        target[m] = targets[r]
        trial_factor, trial_half = factor.copy(), half.copy()
        trial_order, trial_weights = order.copy(), weights.copy()
        passive = refit(
            gram, target, ridge, slack, trial_factor, trial_half, trial_order, trial_weights,
            p, m + 1,
        )  # fmt: skip
        total = 0.0
        for i in range(passive):
            total += target[trial_order[i]] * trial_weights[trial_order[i]]
        values[r] = total
    return values
