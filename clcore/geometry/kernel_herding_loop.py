"""The compiled loop of kernel herding where all pairs are at hand.

This module imports numba: import it inside functions.
"""

from __future__ import annotations

import numpy as np

from clcore.geometry.compiled import Array, compiled


@compiled
def walk(
    pairs: Array, embedding: Array, near: Array, is_open: Array, count: int, places: Array,
    reached: Array, mutual: Array,
) -> None:  # fmt: skip
    """Pick the rows that bring the mean of the picks nearest to the mean embedding.

    Args:
        pairs: κ of all pairs, `[m, m]`.
        embedding: Its mean over the rows, float64 `[m]`.
        near: Σ κ(x, p) over the picks so far, float64 `[m]`; changed in place.
        is_open: Which rows may be picked, `[m]`; changed in place.
        count: How many picks there are so far.
        places: Room for the picks, `[k]`.
        reached: Room for μ at each pick, `[k]`.
        mutual: Room for what each pick adds to Σ κ(p, p′), `[k]`.
    """
    for step in range(places.size):
        best, place = -np.inf, -1
        for row in range(near.size):
            score = (count + step + 1) * embedding[row] - near[row]
            if is_open[row] and score > best:
                best, place = score, row
        is_open[place] = False
        places[step] = place
        reached[step] = embedding[place]
        mutual[step] = 2 * near[place] + np.float64(pairs[place, place])
        for row in range(near.size):
            near[row] += np.float64(pairs[place, row])
