"""SemDeDup: rows that are unlike the rows before them; semantic near-duplicates come last.

Source: Abbas et al., "SemDeDup: data-efficient learning at web-scale through semantic
deduplication", 2023.

Formula: cluster the rows, scaled to length 1, by k-means. Within a cluster order the rows by
hardness, the lowest cosine to the centroid first, and let for each row

    s(x) = 1 − max{ cos(x, z) : z earlier in the cluster },        s = 2 for the first.

A row with s(x) < ε is a near-duplicate of a row before it and is dropped. Picks are the rows by
falling s, so that k picks are what SemDeDup keeps at the ε that leaves exactly k. k-means takes
O(n c d) an iteration, the comparisons O(n² d / c), memory O(n d); no n × n matrix.

Defaults: √n clusters; the hardest row of near-duplicates is kept (`keep="hard"`), as in the paper;
no ε: k is met exactly. With `epsilon` the picks stop at the first near-duplicate and there may be
fewer than k. Rows in `given` come before all others of their cluster, so copies of them come last.
k-means is scikit-learn's, one k-means++ start, or faiss's for large pools. With equal s the lowest
row goes first. The first `j` of `k` picks are the picks for `j` under the same seed. `gains` are s.

Differences from reference codes: what is compared with depends on the order within the cluster. As
in the authors' code a row is compared with all rows before it, dropped ones too, which makes s one
number for every ε; so in a chain of neighbours each like the next only the first is kept. The
authors' code never counts a negative cosine; here it counts, down to s = 2.

Expected numbers: of 1,000 random rows and 1,000 copies that are off by a fifth, 1,000 picks hold a
row of every pair with one cluster and of 981 pairs with √n clusters, which part some (random: 743;
tests/clcore/selectors/test_sem_de_dup.py). Copies off by a tenth or less are never parted there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from clcore.checks import whole_number
from clcore.coreset import Coreset
from clcore.errors import ArgumentError
from clcore.geometry import as_matrix, normalised
from clcore.pool import Pool
from clcore.quotas import Allowance
from clcore.randomness import permutation
from clcore.ranking import best_first, one_of, rows_by
from clcore.selector import Selector
from clcore.selectors._clusters import clusters

BLOCK_BYTES = 32 * 2**20
FIRST = 2.0
"""The dissimilarity of a row that nothing comes before: the largest that a cosine gives."""


@dataclass(frozen=True)
class SemDeDup(Selector):
    """Rows in the order of how unlike they are to those before them.

    Args:
        epsilon: Stop at rows whose cosine to an earlier one exceeds 1 − ε; None stops at k only.
        clusters: How many clusters; None for the square root of the pool.
        keep: Which of near-duplicates stays: the `"hard"` one, farthest from the centroid, the
            `"easy"` one or a `"random"` one.
    """

    epsilon: float | None = None
    clusters: int | None = None
    keep: Literal["hard", "easy", "random"] = "hard"

    greedy: ClassVar[bool] = True
    randomised: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.epsilon is not None and not 0 <= self.epsilon <= 2:
            raise ArgumentError(f"epsilon must be between 0 and 2, not {self.epsilon!r}")
        if self.clusters is not None:
            whole_number("clusters", self.clusters, least=1)
        one_of("keep", self.keep, ("hard", "easy", "random"))
        object.__setattr__(self, "stops_early", self.epsilon is not None)

    def _select(
        self,
        pool: Pool,
        k: int,
        *,
        given: Tensor,
        allowance: Allowance,
        generator: torch.Generator,
    ) -> Coreset:
        features = normalised(as_matrix(pool.signal("features")))
        count = self.clusters or max(1, math.isqrt(len(features)))
        found = clusters(features, count, generator)
        if self.keep == "random":
            hardness = permutation(len(features), generator, pool.device).to(torch.float64)
        else:
            to_centroid = (features * normalised(found.centroids)[found.of]).sum(dim=1)
            hardness = -to_centroid if self.keep == "hard" else to_centroid
        hardness[given] = torch.inf
        unlike = features.new_full((len(features),), FIRST)
        evaluations = found.evaluations + len(features)
        hardest_first = best_first(hardness)
        for places in rows_by(found.of[hardest_first]):
            rows = hardest_first[places]
            unlike[rows] = 1 - _closest_before(features[rows])
            evaluations += len(rows) * (len(rows) - 1) // 2
        order = best_first(unlike)
        if self.epsilon is not None:
            order = order[unlike[order] >= self.epsilon]
        picks = allowance.first(order, k)
        return Coreset.of(picks, gains=unlike[picks], distance_evaluations=evaluations)


def _closest_before(rows: Tensor) -> Tensor:
    """Return the highest cosine of each row to one before it, −1 for the first: `[m]`."""
    closest = rows.new_full((len(rows),), 1 - FIRST)
    step = max(1, BLOCK_BYTES // (len(rows) * rows.element_size()))
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        cosines = block @ rows[: start + len(block)].t()
        # Keep what lies strictly before each row.
        cosines[:, start:].masked_fill_(_not_before(len(block), rows.device), 1 - FIRST)
        closest[start : start + step] = cosines.max(dim=1).values
    return closest.clamp_(-1.0, 1.0)


def _not_before(size: int, device: torch.device) -> Tensor:
    return torch.ones(size, size, dtype=torch.bool, device=device).triu_()
