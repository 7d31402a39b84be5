"""k-center: picks such that no point is far from all of them.

Source: Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985, as used for
core-sets by Sener & Savarese, "Active learning for convolutional neural networks: a core-set
approach", ICLR 2018, algorithm 1 (k-Center-Greedy).

Formula: with the Euclidean distance between features,

    p_t = argmax_x min_{j<t} ‖ φ(x) − φ(p_j) ‖,

exact farthest-first traversal, whose covering radius is at most twice the optimum. On the CPU
stale bounds spare most of the distances (`clcore.geometry.farthest_lazy`) and what decides is
computed in double precision by direct differences; on a GPU each pick is one matrix-vector product
and nothing is read on the host before the end. O(n d) memory; no n × n matrix. Rows in `given` are
centres that are there already (the labelled set of Sener & Savarese).

Defaults: the first pick is the row nearest to the mean, so the answer needs no randomness;
`first="random"` draws it, a number names it. Where `given` is not empty the traversal goes on from
those rows and `first` is not used. `radius=r` stops as soon as no row is farther than r from its
nearest pick; by default all k are made. `gains` are the decreases of the covering radius; what the
very first pick decreases is not defined (there was no radius) and recorded as 0. Ties go to the
lowest row. Labels are used for quotas alone.

Differences from reference codes: DeepCore keeps a k × n matrix (2.1 GB at n = 50,000, k = 5,000)
and copies the open rows at each step; Sener's greedy is the same as this, one pass over all rows a
pick. The robust version is `robust-k-center`.

Expected numbers: on the 5,000 clustered rows of tests/clcore/selectors/test_expected_numbers.py,
500 picks leave a covering radius of 15.4 (random 35) and a mean distance to the nearest of 9.6
(random 9.8). CPU seconds on one core, in brackets those of one matrix-vector product a pick, on
rows made the same way: 50,000 × 64, 5,000 picks 0.33 (3.5), 16 % of the n k distances; 1,000,000 ×
64, 1,000 picks 1.7 (18), 6 %. Without any structure (one Gaussian): 50,000 × 64, 5,000 picks 0.30
(2.8); 20,000 × 512, 2,000 picks 0.29 (5.0). 64 of 512 × 64: 0.7 ms, half of it the checks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from clcore.checks import whole_number
from clcore.coreset import Coreset
from clcore.errors import ArgumentError
from clcore.geometry import Points, Traversal, as_matrix, farthest_first
from clcore.pool import Pool
from clcore.quotas import Allowance
from clcore.randomness import permutation
from clcore.selector import Selector


@dataclass(frozen=True)
class KCenter(Selector):
    """Farthest-first picks.

    Args:
        first: The first pick where nothing is given: `"center"` for the row nearest to the mean,
            `"random"` for a uniform draw, or a row number.
        radius: Stop as soon as every row is at most this far from the nearest pick (or given row).
    """

    first: str | int = "center"
    radius: float | None = None

    greedy: ClassVar[bool] = True
    randomised: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_first(self.first)
        if self.radius is not None and not 0 <= self.radius < math.inf:
            raise ArgumentError(
                f"radius must be a finite number of at least 0, not {self.radius!r}"
            )
        # What the class promises depends on the option: say so on the instance.
        object.__setattr__(self, "stops_early", self.radius is not None)

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
        first = None if len(given) else first_center(self.first, points, allowance, generator)
        found = farthest_first(
            points,
            k,
            allowance=allowance,
            given=given,
            first=first,
            radius=-1.0 if self.radius is None else self.radius,
        )
        return coreset_of(found, points)


def check_first(first: str | int) -> None:
    """Refuse a first pick that is none.

    Raises:
        ArgumentError: If it is neither `"center"`, `"random"` nor a row number.
    """
    if isinstance(first, str):
        if first not in ("center", "random"):
            raise ArgumentError(f"first must be 'center', 'random' or a row number, not {first!r}")
    else:
        whole_number("first", first)


def first_center(
    first: str | int, points: Points, allowance: Allowance, generator: torch.Generator
) -> int:
    """Return the first pick where nothing is given.

    Args:
        first: The option of that name.
        points: The pool.
        allowance: Which rows may be picked.
        generator: Randomness.

    Raises:
        ArgumentError: If it names a row that may not be picked.
    """
    if first == "random":
        return int(allowance.first(permutation(len(points), generator, points.device), 1))
    if first == "center":
        return int(torch.argmin(points.to_centre() - allowance.penalty))
    row = int(first)
    if row >= len(points) or not bool(allowance.open[row]):
        raise ArgumentError(
            f"first = {row} is not a row that may be picked: the pool has {len(points)} rows, "
            "less those whose quota is 0"
        )
    return row


def coreset_of(found: Traversal, points: Points) -> Coreset:
    """Make the coreset of a traversal: gains are the decreases of the covering radius."""
    gains = found.radii[:-1] - found.radii[1:]
    # There was no radius before the first pick of all.
    return Coreset.of(
        found.rows,
        gains=torch.where(gains.isinf(), 0.0, gains).to(torch.float32),
        distance_evaluations=points.evaluations,
    )
