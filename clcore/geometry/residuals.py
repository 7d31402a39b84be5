"""What is left of each row's variance once the picks are known: compiled incremental Cholesky.

Import this module only where a loop is about to run: it imports numba.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

REORDER = {"reassoc", "contract", "nsz"}
"""What the compiler may do with sums."""


@njit(cache=True, nogil=True, fastmath=REORDER)
def catch_up(rows, picks, count, vectors, squares, quality, scale, factor, left, seen):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Bring some rows up to date with the picks that they have not seen.

    The kernel matrix is K_xy = q_x q_y k(x, y) (+ the jitter on the diagonal, which is in `left`
    from the start). Row x of its Cholesky factor is factor[x, :count]; what is left of its
    variance falls by the square of each new entry.

    Args:
        rows: int64 `[m]`.
        picks: int64 `[capacity]`, of which `count` are made.
        count: How many picks there are.
        vectors: `[n, d]`.
        squares: float64 `[n]`: squared lengths of the vectors.
        quality: float64 `[n]`: q.
        scale: 1/σ² of k = exp(−d²/σ²); 0 for k = ⟨x, y⟩.
        factor: float64 `[n, capacity]`; changed in place, like the next two.
        left: float64 `[n]`: what is left of K_xx.
        seen: int64 `[n]`: how many picks each row has been brought up to date with.
    """
    oldest = count
    for row in rows:
        oldest = min(oldest, seen[row])
    # Picks outside, rows inside: the pick's row of the factor stays in the cache.
    for step in range(oldest, count):
        pick = picks[step]
        known = factor[pick, :step]
        pivot = math.sqrt(left[pick])
        for row in rows:
            if seen[row] > step:
                continue
            product = 0.0
            for axis in range(vectors.shape[1]):
                product += np.float64(vectors[row, axis]) * np.float64(vectors[pick, axis])
            if scale > 0:
                squared = squares[row] + squares[pick] - 2 * product
                product = math.exp(-scale * max(squared, 0.0))
            entry = product * quality[row] * quality[pick]
            own = factor[row, :step]
            for place in range(step):
                entry -= known[place] * own[place]
            entry /= pivot
            factor[row, step] = entry
            left[row] -= entry * entry
    for row in rows:
        seen[row] = max(seen[row], count)
