"""ProbCover: picks whose balls of one radius cover as many rows as can be.

Source: Yehuda, Dekel, Hacohen & Weinshall, "Active learning through a covering lens", NeurIPS 2022.

Formula: C(S) = Σ_x w(x) [min_{s ∈ S} d(x, s) ≤ δ], picked greedily: the row whose ball holds most
that is not covered yet. δ by purity: the largest radius at which at least 95 % of the balls hold
one label only, the labels being those of k-means with as many clusters as there are classes. A ball
is pure up to the nearest row of another cluster, so δ is the 5 % quantile of those distances.

Of rows whose balls cover as much, and once everything is covered, the one comes first that is
nearest to what it covers: a row that is covered at distance d counts 1 + ε (1 − d/δ) in place of 1,
with ε = 1/(n + 1), so that all of these together count less than one row. So the method goes on
sensibly when it is saturated: with facility location within the balls. `gains` hold that small part
too; `report["covered"]` is the share of the weight that is covered, `report["delta"]` the radius.
Weights are ones. All distances are computed once and the pairs within δ kept, up to 2²⁵ of them;
beyond that rows are compared anew, and nothing is kept.

Defaults: rows scaled to length 1, as in the paper; δ by purity 0.95 with as many clusters as the
pool has labels (only their number is used), or `classes`. k-means is scikit-learn's, one start,
seeded from the generator; with a `delta` that is given nothing is drawn.

Differences from reference codes: the authors' code drops the last n mod 500 rows, and once all is
covered it returns row 0 again and again; both they and scikit-activeml try a grid of radii, where
the quantile is exact.

Expected numbers: on 1,300 of the digits of scikit-learn, centred, δ by purity is between 0.5 and
0.65 (tests/clcore/selectors/test_prob_cover.py). Sensitive to δ; prefer `max-herding`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from clcore.checks import whole_number
from clcore.coreset import Coreset
from clcore.errors import ArgumentError
from clcore.geometry import Points, as_matrix, normalised
from clcore.geometry.kernels import check_positive
from clcore.geometry.purity import pure_radius
from clcore.greedy import GreedySelector
from clcore.objectives.kernel_coverage import KernelCoverage
from clcore.pool import Pool
from clcore.quotas import Allowance
from clcore.randomness import seed_from
from clcore.selectors._coverage import cover, coverage_coreset


@dataclass(frozen=True)
class ProbCover(GreedySelector):
    """Greedy picks whose balls cover as many rows as can be.

    Args:
        maximiser: A registered name or a maximiser.
        stop: When to stop before `k` picks.
        delta: The radius, or `"purity"`.
        purity: The share of balls that must be pure, where δ is found by it.
        classes: Clusters for that; by default as many as the pool has labels.
        normalise: Whether rows are scaled to length 1 first.
    """

    delta: float | Literal["purity"] = "purity"
    purity: float = 0.95
    classes: int | None = None
    normalise: bool = True

    randomised: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.delta, str):
            if self.delta != "purity":
                raise ArgumentError(f"delta must be a number or 'purity', not {self.delta!r}")
        else:
            check_positive("delta", self.delta)
            chosen = self._maximiser  # type: ignore[attr-defined]
            object.__setattr__(self, "randomised", chosen.randomised)
        check_positive("purity", self.purity)
        if self.purity > 1:
            raise ArgumentError(f"purity must be at most 1, not {self.purity!r}")
        if self.classes is not None:
            whole_number("classes", self.classes, least=2)

    def objective(self, pool: Pool) -> KernelCoverage:
        """Make the set function for a pool; `delta` must be a number.

        Raises:
            ArgumentError: If δ is still to be found.
        """
        if isinstance(self.delta, str):
            raise ArgumentError("delta must be a number here: 'purity' is found in `select`")
        tiebreak = 1 / (len(pool) + 1)
        return KernelCoverage(pool, "top-hat", self.delta, self.normalise, tiebreak)

    def _select(
        self,
        pool: Pool,
        k: int,
        *,
        given: Tensor,
        allowance: Allowance,
        generator: torch.Generator,
    ) -> Coreset:
        delta = self._radius(pool, generator) if isinstance(self.delta, str) else self.delta
        objective = replace(self, delta=delta).objective(pool)
        objective.start(given)
        found = cover(
            objective,
            k,
            allowance=allowance,
            generator=generator,
            maximiser=self._maximiser,  # type: ignore[attr-defined]
            stop=self.stop,
        )
        coreset = coverage_coreset(objective, found, weighted=False)
        covered = (objective.nearest <= delta**2).double()
        weights = torch.ones_like(covered) if pool.weights is None else pool.weights.double()
        share = float(covered @ weights / weights.sum())
        return replace(coreset, report={**coreset.report, "covered": share, "delta": delta})

    def _radius(self, pool: Pool, generator: torch.Generator) -> float:
        """Find δ by the purity of balls under the labels of k-means."""
        features = as_matrix(pool.signal("features"))
        features = normalised(features) if self.normalise else features
        classes = self.classes
        if classes is None:
            if pool.labels is None:
                raise ArgumentError(
                    "delta='purity' needs the number of classes: give classes=, or labels, or delta"
                )
            classes = max(2, len(torch.unique(pool.labels)))
        labels = _cluster(features, min(classes, len(features)), seed_from(generator))
        return pure_radius(Points(features), labels, self.purity)


def _cluster(features: Tensor, clusters: int, seed: int) -> Tensor:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Fewer distinct rows than clusters: some stay empty, and that does no harm here.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = KMeans(clusters, n_init=1, random_state=seed).fit_predict(features.cpu().numpy())
    return torch.as_tensor(found, dtype=torch.int64, device=features.device)
