"""Margin: the rows whose two most likely classes are nearest to each other.

Source: Scheffer, Decomain & Wrobel, "Active hidden Markov models for information extraction", 2001;
Settles, "Active learning literature survey", 2009, section 3.1. The uncertainty of Cluster-Margin
(Citovsky et al., NeurIPS 2021).

Formula: 1 − (p₁(x) − p₂(x)) with the two largest probabilities; the largest are picked first.
O(n C + n log n).

Defaults: probabilities are the softmax of `logits`, in double precision, and 1 − p₁ is summed from
the other classes, so that saturated rows still have an order. No balance between labels. `gains`
are the scores.

Differences from reference codes: DeepCore's first version, and a widely used code of CEAL, take the
largest margins, which are the most certain rows.

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
class Margin(ScoreSelector):
    """The rows with the smallest margin between the two likeliest classes."""

    signals: ClassVar[tuple[str, ...]] = ("logits",)

    def scores(self, pool: Pool) -> Tensor:
        """Return 1 − (p₁ − p₂)."""
        return from_logits(pool, _closeness)


def _closeness(probabilities: Tensor) -> Tensor:
    rest = rest_of(probabilities)
    return rest.sum(dim=1) + rest.amax(dim=1)
