"""Uniform random selection without replacement: the baseline that every other method must beat.

Formula: a uniform permutation of the pool, its first `k` rows. With quotas the permutation is
walked down and rows of a used-up label are passed over, so within a label the picks are uniform.

Defaults: none; no signals are read. The first `j` of `k` picks are the picks for `j` under the
same seed.

Differences from reference codes: none known. Pool weights are not used: a row counts once.

Expected numbers: on 5,000 rows of 100 unequal Gaussian clusters with d = 64 (made in
tests/clcore/selectors/test_expected_numbers.py) 500 picks leave a mean distance to the nearest pick
of 9.8 and a covering radius of 35. DeepCore (Guo et al. 2022): "random selection is still a strong
baseline".
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
from clcore.selector import Selector


@dataclass(frozen=True)
class Random(Selector):
    """Uniform random picks without replacement."""

    signals: ClassVar[tuple[str, ...]] = ()
    greedy: ClassVar[bool] = True
    randomised: ClassVar[bool] = True

    def _select(
        self,
        pool: Pool,
        k: int,
        *,
        given: Tensor,
        allowance: Allowance,
        generator: torch.Generator,
    ) -> Coreset:
        return Coreset.of(allowance.first(permutation(len(pool), generator, pool.device), k))
