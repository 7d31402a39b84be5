"""Saturated coverage: every row wants a share of its similarity covered, and no more.

Source: Lin & Bilmes, "A class of submodular functions for document summarization", ACL 2011,
section 4.1.

Formula: f(S) = Σ_x w(x) min( Σ_{s ∈ S} sim(x, s), α Σ_{y ∈ V} sim(x, y) ), greedily; see
`clcore.objectives.saturated_coverage`.

Defaults: exp(−d²/σ²), σ the root mean squared distance of two rows; α = k / n, with which a set of
average rows would saturate every row by the last pick. Much larger α makes the function a plain
sum, whose best rows are the most central ones; with a much smaller α all rows are saturated early,
and the rest is picked in the order of the rows. As α then depends on k, picks are prefixes of each
other only where `saturation` is given.

Differences from reference codes: apricot holds the n × n similarities; here a gain computes the
row's similarities anew, and only rows that may win are asked.

Expected numbers: on the 5,000 clustered rows of tests/clcore/selectors/test_expected_numbers.py,
500 picks leave a mean distance to the nearest of 14.4 (random 9.8).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from clcore.coreset import Coreset
from clcore.greedy import GreedySelector
from clcore.objective import Objective
from clcore.objectives._similarity import SimilarityName
from clcore.objectives.saturated_coverage import SaturatedCoverage as SaturatedCoverageFunction
from clcore.objectives.saturated_coverage import check_saturation
from clcore.pool import Pool
from clcore.quotas import Allowance


@dataclass(frozen=True)
class SaturatedCoverage(GreedySelector):
    """Maximise a saturated coverage.

    Args:
        maximiser: A registered name or a maximiser.
        stop: When to stop before `k` picks.
        saturation: α, above 0 and at most 1; None for the share of the pool that is picked.
        similarity: `"rbf"`, `"cosine"` or `"dot"`.
        bandwidth: σ of `"rbf"`; None for the root mean squared distance of two rows.
    """

    saturation: float | None = None
    similarity: SimilarityName = "rbf"
    bandwidth: float | None = None

    greedy: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.saturation is not None:
            check_saturation(self.saturation)
            # With a saturation of its own it no longer depends on k: say so on the instance.
            object.__setattr__(self, "greedy", self._maximiser.prefix)  # type: ignore[attr-defined]

    def objective(self, pool: Pool) -> Objective:
        """Make the set function for a pool."""
        share = 1.0 if self.saturation is None else self.saturation
        return SaturatedCoverageFunction(pool, share, self.similarity, self.bandwidth)

    def _select(
        self,
        pool: Pool,
        k: int,
        *,
        given: Tensor,
        allowance: Allowance,
        generator: torch.Generator,
    ) -> Coreset:
        method = self
        if self.saturation is None:
            method = replace(self, saturation=(k + len(given)) / len(pool))
        return super(SaturatedCoverage, method)._select(
            pool, k, given=given, allowance=allowance, generator=generator
        )
