"""Graph cut: picks that are like the pool and unlike each other.

Source: Lin & Bilmes, "Multi-document summarization via budgeted maximization of submodular
functions", NAACL 2010; for training data Iyer et al., "Submodular combinatorial information
measures with applications in machine learning", ALT 2021.

Formula: f(S) = λ Σ_{x ∈ V} Σ_{s ∈ S} w(x) sim(x, s) − Σ_{s,t ∈ S} sim(s, t), greedily; see
`clcore.objectives.graph_cut`.

Defaults: cosine similarity as (1 + cos) / 2, λ = 2, the smallest for which the function is
monotone. While k is much smaller than n the first term decides, so picks lie where the pool is
dense; a λ of the order of k / n makes them spread.

Differences from reference codes: similarities are never held as an n × n matrix; with inner
products none is even computed, as both sums are inner products with one vector. DeepCore takes the
gain at λ = 1 with the diagonal left out.

Expected numbers: on the 5,000 clustered rows of tests/clcore/selectors/test_expected_numbers.py,
500 picks leave a mean distance to the nearest of 20.6 (random 9.8), with trade_off=0.1 of 9.8.
20,000 × 64 with k = 1,000: about 0.8 s of one core.
"""

from __future__ import annotations

from dataclasses import dataclass

from clcore.greedy import GreedySelector
from clcore.objective import Objective
from clcore.objectives._similarity import SimilarityName
from clcore.objectives.graph_cut import GraphCut as GraphCutFunction
from clcore.pool import Pool


@dataclass(frozen=True)
class GraphCut(GreedySelector):
    """Maximise a graph cut.

    Args:
        maximiser: A registered name or a maximiser.
        stop: When to stop before `k` picks.
        trade_off: λ.
        similarity: `"cosine"`, `"dot"` or `"rbf"`.
        bandwidth: σ of `"rbf"`; None for the root mean squared distance of two rows.
    """

    trade_off: float = 2.0
    similarity: SimilarityName = "cosine"
    bandwidth: float | None = None

    def objective(self, pool: Pool) -> Objective:
        """Make the set function for a pool."""
        return GraphCutFunction(pool, self.trade_off, self.similarity, self.bandwidth)
