"""Stratified: random picks with a fixed share for every label or group.

Source: stratified random sampling; the shares are Webster's (Sainte-Laguë's) apportionment, which
gives every stratum its part of the whole to the nearest number of rows.

Formula: the rows are put in a random order; within its stratum of m rows the r-th of them (from 0)
has its turn at (r + ½) / m for proportional shares and at r for even ones; the first k turns are
taken. O(n log n) time, O(n) memory.

Defaults: proportional shares of labels. Even shares are as even as the sizes allow: what a small
stratum cannot give goes to the others. What cannot be divided goes to random strata. Rows in
`given` count towards the share of their stratum, so that given rows and picks together are
stratified. The first `j` of `k` picks are the picks for `j` under the same seed. No signals are
read; a pool without labels (groups) is refused.

Differences from reference codes: DeepCore rounds the share of each label on its own, so that the
total may differ from what was asked for; here it is exact.

Expected numbers: of 1,000 rows in strata of 700, 200 and 100, 100 picks are 70, 20 and 10 of
them, evenly 34, 33 and 33 in some order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from clcore.coreset import Coreset
from clcore.pool import Pool
from clcore.quotas import Allowance
from clcore.randomness import permutation
from clcore.ranking import Shares, column_of, in_turn, one_of
from clcore.selector import QuotaBy, Selector


@dataclass(frozen=True)
class Stratified(Selector):
    """Random picks with fixed shares.

    Args:
        shares: `"proportional"` to the size of each stratum, or `"even"`.
        by: The strata: `"labels"` or `"groups"`.
    """

    shares: Shares = "proportional"
    by: QuotaBy = "labels"

    signals: ClassVar[tuple[str, ...]] = ()
    greedy: ClassVar[bool] = True
    randomised: ClassVar[bool] = True

    def __post_init__(self) -> None:
        one_of("shares", self.shares, ("proportional", "even"))
        one_of("by", self.by, ("labels", "groups"))

    def _select(
        self,
        pool: Pool,
        k: int,
        *,
        given: Tensor,
        allowance: Allowance,
        generator: torch.Generator,
    ) -> Coreset:
        strata = column_of(pool, self.by, "stratified")
        order = permutation(len(pool), generator, pool.device)
        return Coreset.of(allowance.first(in_turn(order, strata, given, shares=self.shares), k))
