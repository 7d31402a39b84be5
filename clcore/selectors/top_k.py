"""Top-k: the rows with the highest (or lowest) value of any signal that holds one number a row.

Source: the common core of score-based pruning; Guo et al., "DeepCore", DEXA 2022, compare many
scores in this frame. The named scores have files of their own: `el2n`, `grand`, `forgetting`,
`least-confidence`, `entropy`, `margin`, `deepfool`, `cal`.

Formula: sort by s(x), or by −s(x) where lower is better, and take the first k; O(n log n) time,
O(n) memory.

Defaults: the signal `scores`, higher is better, no balance between labels, equal rows in the order
of the pool. With `per_label` every label has its share in proportion to its size: its r-th best row
(from 0) of m has its turn at (r + ½) / m, which is Webster's apportionment, so that the picks sum
to k exactly and a smaller coreset is a prefix. `gains` are the scores, negated where lower is
better.

Differences from reference codes: DeepCore and the code of coverage-centric selection round the
share of each label on its own, so the total is not always what was asked for; the latter takes all
shares from the size of the last label.

Expected numbers: on the digits with one label in ten wrong (tests/clcore/selectors/
test_noisy_digits.py) the tenth with the highest loss holds 91 % of the wrong labels and the tenth
with the lowest none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from clcore.pool import Pool
from clcore.ranking import ScoreSelector, one_number, signal_name


@dataclass(frozen=True)
class TopK(ScoreSelector):
    """The rows with the highest value of a signal.

    Args:
        per_label: Take from each label its proportional share.
        ties: Which of equal rows goes first: the `"first"` or a `"random"` one.
        by: The signal, one number a row.
        higher_is_better: Whether the highest are picked, or the lowest.
    """

    by: str = "scores"
    higher_is_better: bool = True

    signals: ClassVar[tuple[str, ...]] = ("scores",)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "signals", (signal_name("by", self.by),))

    def scores(self, pool: Pool) -> Tensor:
        """Return the signal, negated where lower is better."""
        values = one_number(pool, self.by)
        return values if self.higher_is_better else -values
