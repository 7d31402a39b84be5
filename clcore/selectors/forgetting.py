"""Forgetting events: the rows that went from right to wrong most often during training.

Source: Toneva et al., "An empirical study of example forgetting during deep neural network
learning", ICLR 2019.

Formula: the number of steps t at which x was classified rightly at t − 1 and wrongly at t (counted
when x is in the batch); the most forgotten are kept. O(n log n).

Defaults: the signal `forgetting_events`. Counts tie often, and most rows of an easy data set are
never forgotten: ties are broken at random, for in a pool that is sorted by label the order of the
rows would leave whole labels out (`ties="first"` takes the lowest rows). No balance between labels,
as in the paper; DeepCore balances, which is `per_label=True`. `gains` are the counts.

Differences from reference codes: the paper counts a row that was never learnt as forgotten
infinitely often and DeepCore as forgotten never; here the signal decides, as whatever finite
number the user gives to such rows. DeepCore breaks ties by the sort routine.

Expected numbers: on the digits with one label in ten wrong (tests/clcore/selectors/
test_noisy_digits.py) the first tenth holds 8 % of the wrong labels, no more than chance (10 %):
wrong labels that are never learnt are never forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from clcore.pool import Pool
from clcore.ranking import ScoreSelector, Ties, one_number


@dataclass(frozen=True)
class Forgetting(ScoreSelector):
    """The rows forgotten most often.

    Args:
        per_label: Take from each label its proportional share.
        ties: Which of equal rows goes first: the `"first"` or a `"random"` one.
    """

    ties: Ties = "random"

    signals: ClassVar[tuple[str, ...]] = ("forgetting_events",)
    randomised: ClassVar[bool] = True

    def scores(self, pool: Pool) -> Tensor:
        """Return the counts."""
        return one_number(pool, "forgetting_events")
