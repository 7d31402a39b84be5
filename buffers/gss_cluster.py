"""GSS-Clust: first-come centroids in gradient space, with a radius that grows until they fit.

Source: the authors' code of Aljundi et al. 2019 (`model/GSS_Clust.py`); the paper names the method
and gives its results.

Formula, with distances d = 1 - cos: a recent row is a candidate if it is further than the radius R
from every exemplar. If exemplars and candidates are more than fit, R begins again at their smallest
distance and grows by 1 % at a time. For each R a random one of them is the first centroid, and the
others are taken in order, each becoming a centroid if it is further than R from all before it; the
first R that leaves no more than fit is kept.

Differences from the authors' code:

- There the memory may be left with fewer exemplars than fit. Here what is free is filled with those
  furthest from their nearest centroid.
- There two rows with the same gradient make the smallest distance 0, which no growth changes, and
  the search never ends. Here R begins at the smallest distance that isn't 0.
- There R also decides who enters while there is room. Here everybody does.
- There the random first centroid is drawn anew for each R; here once for each choice.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

GROWTH = 0.01
"""How much the radius grows at a time, as in the authors' scripts."""


def centroids(
    cosine: Tensor, k: int, radius: float, generator: torch.Generator
) -> tuple[Tensor, float]:
    """Choose k among the k exemplars and the recent rows.

    Args:
        cosine: `[n, n]`: the k exemplars first, then the recent rows.
        k: How many.
        radius: As the last choice left it; 0 if there was none.
        generator: Source of randomness.

    Returns:
        `[k]` int64, ascending, and the new radius.
    """
    distance = (1 - cosine.double()).clamp_(min=0)
    distance.fill_diagonal_(0)
    new = torch.nonzero(distance[k:, :k].amin(1) > radius).view(-1) + k
    if len(new) == 0:
        return torch.arange(k), radius
    among = torch.cat((torch.arange(k), new))
    near = distance[among][:, among].numpy()
    first = int(torch.randint(len(among), (1,), generator=generator))
    apart = near[np.triu_indices(len(near), 1)]
    positive = apart[apart > 0]
    if len(positive) == 0:  # all gradients are alike
        return torch.arange(k), radius
    chosen, radius = _grown(np.ascontiguousarray(near), k, first, float(positive.min()), GROWTH)
    taken = np.flatnonzero(chosen)
    rest = np.flatnonzero(~chosen)
    # The furthest from all centroids first; of equally far ones, those that came first.
    order = np.argsort(-near[np.ix_(rest, taken)].min(1), kind="stable")[: k - len(taken)]
    return among[torch.from_numpy(np.sort(np.concatenate((taken, rest[order]))))], radius


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _grown(
    near: NDArray[np.float64], k: int, first: int, radius: float, growth: float
) -> tuple[NDArray[np.bool_], float]:
    """Let the radius grow until no more than k centroids are left."""
    n = len(near)
    chosen = np.zeros(n, dtype=np.bool_)
    taken = np.empty(n, dtype=np.int64)
    while True:
        radius += growth * radius
        chosen[:] = False
        chosen[first] = True
        taken[0] = first
        count = 1
        for row in range(n):
            covered = False
            for place in range(count):
                if near[row, taken[place]] <= radius:
                    covered = True
                    break
            if not covered:
                chosen[row] = True
                taken[count] = row
                count += 1
                if count > k:
                    break
        if count <= k:
            return chosen, radius
