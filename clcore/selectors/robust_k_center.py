"""Robust k-center: picks such that no point is far from all of them, but for a few outliers.

Source: the k-center problem with outliers of Charikar, Khuller, Mount & Narasimhan, "Algorithms
for facility location problems with outliers", SODA 2001, as used for core-sets by Sener &
Savarese, "Active learning for convolutional neural networks: a core-set approach", ICLR 2018,
section 5. Solved greedily here.

Formula: with the Euclidean distance between features and D(x) the distance of φ(x) to the nearest
pick or given row, Ξ the number of outliers and rank(x) the place of x in the descending order of D,

    p_t = argmax { D(x) : rank(x) > Ξ }.

The Ξ farthest rows of each step are passed over; which rows these are may change from step to
step, and a row that was passed over may be picked later. With Ξ = 0 it is k-center. Memory
O(n d); no solver.

Defaults: `outliers=1e-4`, Sener & Savarese's bound of 10⁻⁴ n, rounded to the nearest number, so it
is k-center below 5,000 rows; a whole number is a count. The first pick is the row nearest to the
mean, as in k-center. The covering radius is that of all rows but the Ξ farthest; `gains` are its
decreases (0 for the first pick of all). Where only passed-over rows are left to pick (k near n, or
quotas), the nearest of them is taken. Ties go to the lowest row.

Differences from reference codes: Sener & Savarese improve the greedy answer by bisection over the
radius δ, testing at each δ with a mixed-integer program whether k centres cover all but Ξ rows; it
needs a commercial solver and time limits, and it needs all pairs within δ. Their released program
bounds the outlier variables by 0 and so forbids the outliers that it is there for. Re-
implementations (Gissin) keep the program with Ξ = n / 10⁴. This greedy has no proven factor; what
it keeps is the purpose: a few far rows neither are picked first nor set the radius.

Expected numbers: 2,000 clustered rows and 20 far ones, 50 picks: k-center spends 20 of its picks
on the far rows, this with outliers=20 none (test_robust_k_center.py). Time as for k-center:
50,000 × 64, 5,000 picks 0.25 CPU seconds on one core.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from clcore.checks import whole_number
from clcore.coreset import Coreset
from clcore.errors import ArgumentError
from clcore.geometry import Points, as_matrix, farthest_first
from clcore.pool import Pool
from clcore.quotas import Allowance
from clcore.selector import Selector
from clcore.selectors.k_center import check_first, coreset_of, first_center


@dataclass(frozen=True)
class RobustKCenter(Selector):
    """Farthest-first picks that pass over the farthest rows.

    Args:
        outliers: How many rows are passed over in each step: a whole number, or as a float the
            share of the pool, below 1.
        first: The first pick where nothing is given: `"center"` for the row nearest to the mean,
            `"random"` for a uniform draw, or a row number.
    """

    outliers: int | float = 1e-4
    first: str | int = "center"

    greedy: ClassVar[bool] = True
    randomised: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_first(self.first)
        if isinstance(self.outliers, float):
            if not 0 <= self.outliers < 1:
                raise ArgumentError(
                    "outliers must be a whole number, or a share of at least 0 and below 1, not "
                    f"{self.outliers!r}"
                )
        else:
            whole_number("outliers", self.outliers)

    def _select(
        self,
        pool: Pool,
        k: int,
        *,
        given: Tensor,
        allowance: Allowance,
        generator: torch.Generator,
    ) -> Coreset:
        points = Points(as_matrix(pool.signal("features")))
        share = isinstance(self.outliers, float)
        ignored = round(self.outliers * len(pool)) if share else int(self.outliers)
        first = None if len(given) else first_center(self.first, points, allowance, generator)
        found = farthest_first(
            points, k, allowance=allowance, given=given, first=first, ignored=ignored
        )
        return coreset_of(found, points)
