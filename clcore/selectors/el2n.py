"""EL2N: the rows with the largest error of the prediction, early in training.

Source: Paul, Ganguli & Dziugaite, "Deep learning on a data diet: finding important examples early
in training", NeurIPS 2021, section 2.

Formula: ‖ p(x) − y ‖₂ with the predicted probabilities p and the one-hot label y, which for
cross-entropy is the gradient of the loss at the logits; the largest are kept. O(n C + n log n).

Defaults: the signal `logit_gradients`; for another loss its gradient takes the place of p − y. The
paper averages the score over ten networks after a few epochs: average the `logit_gradients` norms
of several probes and use `top-k` for that; one network's score is noisier. No balance between
labels. `gains` are the scores.

Differences from reference codes: DeepCore has no EL2N file of its own; GraNd there is the
whole-layer norm.

Expected numbers: on the digits with one label in ten wrong (tests/clcore/selectors/
test_noisy_digits.py) the first tenth holds 92 % of the wrong labels: the hardest rows are often the
wrong ones. Look at `coverage-centric` where labels are noisy or the coreset is small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from clcore.geometry import as_matrix
from clcore.pool import Pool
from clcore.ranking import ScoreSelector


@dataclass(frozen=True)
class El2n(ScoreSelector):
    """The rows with the largest error norm."""

    signals: ClassVar[tuple[str, ...]] = ("logit_gradients",)

    def scores(self, pool: Pool) -> Tensor:
        """Return the length of the gradient at the logits."""
        scores: Tensor = torch.linalg.vector_norm(as_matrix(pool.signal("logit_gradients")), dim=1)
        return scores
