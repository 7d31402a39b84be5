"""Feature-based: much of every feature, with diminishing returns.

Source: Wei, Liu, Kirchhoff, Bartels & Bilmes, "Submodular subset selection for large-scale speech
training data", ICASSP 2014.

Formula: f(S) = Σ_f v_f φ( Σ_{s ∈ S} w(s) x_{s f} ), φ concave, greedily; see
`clcore.objectives.feature_based`.

Defaults: φ = √, v = 1. Features are amounts (counts, activations); a negative one is split into a
positive and a negative part, two features, because embeddings have signs. `negative="error"`
refuses them instead.

Differences from reference codes: apricot refuses negative features; else the same function.

Expected numbers: no pair of rows is compared, so 500 picks of the 5,000 clustered rows of
tests/clcore/selectors/test_expected_numbers.py take about 0.4 s of one core; they are the rows of
large features, with a mean distance to the nearest of 20.3 (random 9.8).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from clcore.greedy import GreedySelector
from clcore.objective import Objective
from clcore.objectives.feature_based import Concave, Negative
from clcore.objectives.feature_based import FeatureBased as FeatureBasedFunction
from clcore.pool import Pool


@dataclass(frozen=True)
class FeatureBased(GreedySelector):
    """Maximise a concave function of the sums of features.

    Args:
        maximiser: A registered name or a maximiser.
        stop: When to stop before `k` picks.
        concave: φ: `"sqrt"`, `"log1p"` or `"min"`.
        saturation: α of `"min"`, above 0 and at most 1.
        feature_weights: v, `[d]`, none negative; None for ones.
        negative: `"split"` or `"error"`.
    """

    concave: Concave = "sqrt"
    saturation: float = 0.1
    feature_weights: Tensor | tuple[float, ...] | None = None
    negative: Negative = "split"

    def objective(self, pool: Pool) -> Objective:
        """Make the set function for a pool."""
        return FeatureBasedFunction(
            pool, self.concave, self.saturation, self.feature_weights, self.negative
        )
