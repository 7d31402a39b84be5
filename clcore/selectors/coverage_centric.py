"""Coverage-centric selection (CCS): drop the hardest rows, then spread over all difficulties.

Source: Zheng et al., "Coverage-centric coreset selection for high pruning rates", ICLR 2023,
algorithm 1.

Formula: drop the share β of the rows that are hardest by the score; cut the range of the score of
the rest into `strata` bins of equal width; give every bin the same number of picks, what a small
bin cannot give going to the others; draw within a bin at random. O(n log n) time, O(n) memory.

Defaults: 50 strata; β = `prune` = 0.3, the authors' example for keeping a tenth of CIFAR-10. β
depends on how much is kept: less is dropped where more is kept (0 where little is pruned). The
score is `losses`, higher is harder; the authors use the area under the margin (lower is harder),
forgetting counts or EL2N, any of which goes in as `by` with `harder`. Beyond (1 − β) n picks
the dropped rows follow, the easiest first. Rows in `given` count for their bin. The first `j` of
`k` picks are the picks for `j` under the same seed. `gains` are zeros.

Differences from reference codes: the authors' code widens the last bin by a factor on the maximum
(which loses the top rows where the maximum is negative) and gives what cannot be divided to the
largest bins; here the last bin is closed and the remainder goes to random bins.

Expected numbers: on the digits with one label in ten wrong (tests/clcore/selectors/
test_noisy_digits.py) the first tenth holds none of the wrong labels, and with `prune=0`, where the
bins with the highest losses are taken whole, 66 % of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from clcore.checks import whole_number
from clcore.coreset import Coreset
from clcore.errors import ArgumentError
from clcore.pool import Pool
from clcore.quotas import Allowance
from clcore.randomness import permutation
from clcore.ranking import best_first, in_turn, one_number, one_of, signal_name
from clcore.selector import Selector


@dataclass(frozen=True)
class CoverageCentric(Selector):
    """Random picks spread evenly over the difficulty, without the hardest rows.

    Args:
        by: The signal that says how hard a row is, one number a row.
        harder: Whether `"higher"` or `"lower"` values are harder.
        prune: The share β of the pool that is dropped as too hard, from 0 to below 1.
        strata: How many bins of equal width.
    """

    by: str = "losses"
    harder: Literal["higher", "lower"] = "higher"
    prune: float = 0.3
    strata: int = 50

    signals: ClassVar[tuple[str, ...]] = ("losses",)
    greedy: ClassVar[bool] = True
    randomised: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "signals", (signal_name("by", self.by),))
        one_of("harder", self.harder, ("higher", "lower"))
        whole_number("strata", self.strata, least=1)
        if not 0 <= self.prune < 1:
            raise ArgumentError(f"prune must be at least 0 and below 1, not {self.prune!r}")

    def _select(
        self,
        pool: Pool,
        k: int,
        *,
        given: Tensor,
        allowance: Allowance,
        generator: torch.Generator,
    ) -> Coreset:
        values = one_number(pool, self.by).to(torch.float64)
        hardest_first = best_first(values if self.harder == "higher" else -values)
        dropped = int(self.prune * len(pool))
        too_hard, kept = hardest_first[:dropped].flip(0), hardest_first[dropped:]
        in_kept = torch.zeros(len(pool), dtype=torch.bool, device=pool.device)
        in_kept[kept] = True
        shuffled = permutation(len(pool), generator, pool.device)
        bins = _bins(values, values[kept], self.strata)
        order = in_turn(shuffled[in_kept[shuffled]], bins, given[in_kept[given]], shares="even")
        return Coreset.of(allowance.first(torch.cat([order, too_hard]), k))


def _bins(values: Tensor, kept: Tensor, strata: int) -> Tensor:
    """Return the bin of each value: int64 `[n]`, those outside the range of `kept` in the ends."""
    least, most = kept.min(), kept.max()
    width = (most - least) / strata
    if not width > 0:
        return torch.zeros(len(values), dtype=torch.int64, device=values.device)
    return ((values - least) / width).floor().clamp(0, strata - 1).to(torch.int64)
