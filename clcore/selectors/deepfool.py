"""DeepFool: the rows nearest to the decision boundary.

Source: Ducoffe & Precioso, "Adversarial active learning for deep networks: a margin based
approach", 2018; the distance is that of Moosavi-Dezfooli, Fawzi & Frossard, "DeepFool", CVPR 2016.

Formula: the length of the smallest perturbation found by DeepFool that changes the predicted label;
the shortest are picked first. O(n log n) once the lengths are there.

Defaults: the signal `boundary_distances`. No balance between labels. `gains` are the negated
lengths. The paper also adds the perturbed twin of each pick with the same label to the training
set; that is left to the training.

Differences from reference codes: the code published with BADGE, and DeepAL+, never update the
running minimum over classes, so their step goes to the last class, not to the nearest; DeepCore
ranks by squared lengths, which is the same order.

Expected numbers: on the digits with one label in ten wrong (tests/clcore/selectors/
test_noisy_digits.py) the first tenth holds 13 % of the wrong labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from clcore.pool import Pool
from clcore.ranking import ScoreSelector, one_number


@dataclass(frozen=True)
class Deepfool(ScoreSelector):
    """The rows nearest to the decision boundary."""

    signals: ClassVar[tuple[str, ...]] = ("boundary_distances",)

    def scores(self, pool: Pool) -> Tensor:
        """Return the negated distances."""
        return -one_number(pool, "boundary_distances")
