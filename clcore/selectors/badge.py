"""BADGE: D² seeding on the gradients that the model's own answers would give.

Source: Ash, Zhang, Krishnamurthy, Langford & Agarwal, "Deep batch active learning by diverse,
uncertain gradient lower bounds", ICLR 2020.

Formula: with p = softmax(logits), ŷ = argmax p and features h, the hypothesised last-layer gradient
is g = (p − onehot(ŷ)) ⊗ h. Seeding as in k-means++: with D(x) the distance of g_x to the nearest
pick and w the pool weights,

    first = argmax_x ‖g_x‖,   P(next = x) ∝ w(x) D(x)².

A long gradient is an uncertain row, and rows far apart are diverse. The gradients are never
multiplied out: ‖a ⊗ b − c ⊗ d‖² comes from the distances and lengths of the factors, so a pick
costs n (C + d) operations and not n C d.

Defaults: `bias=False`, as in the paper. No pool weights count as 1; they do not bear on the first
pick. Rows in `given` are centres from the start, and the first pick is drawn by distance like all
others. Where all rows left are copies of picks, the draw is by weight among them. Labels are used
for quotas alone. Fewer picks are the first of more under the same seed. `gains` are the decreases
of the mean squared distance to the nearest pick, 0 for the very first.

Differences from reference codes: the authors' code multiplied the gradients out until 2024, and
DeepAL+ does, n × C·d numbers. scikit-learn's `kmeans_plusplus` tries several draws a step, which is
another distribution. Distances here do not come from ‖a‖²‖b‖² + ‖c‖²‖d‖² − 2⟨a, c⟩⟨b, d⟩ but from a
sum that leaves near rows their distance in single precision too (`clcore.geometry.factored`).

Expected numbers: 5,000 rows, 10 classes × 64 features, 500 picks, one thread: 0.2 CPU s;
50,000 rows, 100 classes × 512 features, 500 picks: 5 CPU s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from clcore.coreset import Coreset
from clcore.geometry import as_matrix
from clcore.geometry.factored import FactoredPoints
from clcore.geometry.seeding import seed_by_distance
from clcore.maximisers.matching_pursuit import check_flag
from clcore.pool import Pool
from clcore.quotas import Allowance
from clcore.selector import Selector


@dataclass(frozen=True)
class Badge(Selector):
    """Draws in proportion to the squared distance between hypothesised gradients.

    Args:
        bias: Whether the gradient of the last layer's bias counts too.
    """

    bias: bool = False

    signals: ClassVar[tuple[str, ...]] = ("logits", "features")
    greedy: ClassVar[bool] = True
    randomised: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_flag("bias", self.bias)

    def _select(
        self,
        pool: Pool,
        k: int,
        *,
        given: Tensor,
        allowance: Allowance,
        generator: torch.Generator,
    ) -> Coreset:
        points = hypothesised_gradients(
            pool.signal("logits"), pool.signal("features"), bias=self.bias
        )
        picks, gains = [], []
        if len(given) == 0:
            lengths = points.squares + allowance.penalty.to(points.dtype)
            first = lengths.argmax().reshape(1)
            allowance.take(int(first))
            picks, gains = [first], [torch.zeros(1, dtype=torch.float64)]
        centres = torch.cat([given, *picks])
        if k > len(picks):
            drawn = seed_by_distance(
                points, k - len(picks), allowance=allowance, given=centres, generator=generator,
                weights=pool.weights,
            )  # fmt: skip
            assert drawn.falls is not None  # they were asked for
            picks.append(drawn.rows)
            gains.append(drawn.falls / len(pool))
        return Coreset.of(
            torch.cat(picks), gains=torch.cat(gains), distance_evaluations=points.evaluations
        )


def hypothesised_gradients(logits: Tensor, features: Tensor, *, bias: bool) -> FactoredPoints:
    """Make the gradients that the most likely labels would give.

    Args:
        logits: `[n, C]`.
        features: `[n, ...]`.
        bias: Whether the last layer has a bias.

    Returns:
        The factored gradients of cross-entropy with the label argmax of the logits, the lowest of
        equal ones.
    """
    scores = as_matrix(logits)
    errors = scores.softmax(dim=1)
    errors -= nn.functional.one_hot(scores.argmax(dim=1), scores.shape[1])
    return FactoredPoints(errors, as_matrix(features).to(errors.dtype), bias=bias)
