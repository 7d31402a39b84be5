"""GraNd: the rows with the largest gradient norm, early in training.

Source: Paul, Ganguli & Dziugaite, "Deep learning on a data diet: finding important examples early
in training", NeurIPS 2021, section 2.

Formula: E_w ‖ ∇_w ℓ(w; x, y) ‖₂ over initial weights w; the largest are kept. O(n log n) once the
norms are there.

Defaults: the signal `gradient_norms`, one network's norms of the last layer with its bias,
‖p − y‖ · √(1 + ‖h‖²), as in DeepCore. The paper's average over ten initialisations is the mean of
ten such signals, picked with `top-k`. No balance between labels. `gains` are the scores.

Differences from reference codes: DeepCore puts probabilities, not logits, into the cross-entropy
before it differentiates, which is another gradient.

Expected numbers: on the digits with one label in ten wrong (tests/clcore/selectors/
test_noisy_digits.py) the first tenth holds 90 % of the wrong labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from clcore.pool import Pool
from clcore.ranking import ScoreSelector, one_number


@dataclass(frozen=True)
class Grand(ScoreSelector):
    """The rows with the largest gradient norm."""

    signals: ClassVar[tuple[str, ...]] = ("gradient_norms",)

    def scores(self, pool: Pool) -> Tensor:
        """Return the gradient norms."""
        return one_number(pool, "gradient_norms")
