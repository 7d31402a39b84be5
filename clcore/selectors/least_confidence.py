"""Least confidence: the rows whose most likely class is the least likely.

Source: Lewis & Gale, "A sequential algorithm for training text classifiers", SIGIR 1994; Settles,
"Active learning literature survey", 2009, section 3.1.

Formula: 1 − max_c p_c(x); the largest are picked first. O(n C + n log n).

Defaults: probabilities are the softmax of `logits`, in double precision, and 1 − max p is summed
from the other classes, so that saturated rows still have an order. No balance between labels.
`gains` are the scores.

Differences from reference codes: DeepCore ranks by the largest logit, which is another order,
because logits of two rows are not on one scale.

Expected numbers: on the digits with one label in ten wrong (tests/clcore/selectors/
test_noisy_digits.py) the first tenth holds 15 % of the wrong labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from clcore.pool import Pool
from clcore.ranking import ScoreSelector, from_logits, rest_of


@dataclass(frozen=True)
class LeastConfidence(ScoreSelector):
    """The rows with the least likely prediction."""

    signals: ClassVar[tuple[str, ...]] = ("logits",)

    def scores(self, pool: Pool) -> Tensor:
        """Return 1 − max p."""
        return from_logits(pool, lambda probabilities: rest_of(probabilities).sum(dim=1))
