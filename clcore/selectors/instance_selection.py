"""Instance selection: the rows in the densest parts of the data, class by class.

Source: DeVries, Drozdzal & Taylor, "Instance selection for GANs", NeurIPS 2020: a GAN trained on
the dense half of its data gives better samples in less time, and fewer kinds of them.

Formula: score each row by the density of its class, and take the highest:

    gaussian   log N(φ(x); μ, Σ + r I), one Gaussian with full covariance;
    ppca       log N(φ(x); μ, W Wᵀ + σ² I), principal components that explain a share of the
               variance, and noise;
    k-nn       minus the distance to the k-th nearest other row of the class.

O(n d²), O(n d² + d³) and O(n² d) time, O(d²) and blocks of memory.

Defaults: Gaussian with r = 1e-5, 95 % of the variance, the 5th neighbour, and every class its
proportional share, all as in the paper. Without labels the pool is one class. `gains` are the
scores. In the paper features of Inception-v3 are used, and half of the rows or fewer kept.

Differences from reference codes: the authors' code fails on data without labels (`label` is not
defined there), and cuts with `>` at a percentile of each class, so that ties may lose rows; here
exactly k rows are picked, of equal ones the first.

Expected numbers: the densities are scikit-learn's to 1e-6 (tests/clcore/geometry/
test_densities.py). With about 1,300 rows a class and 2,048 features the covariance is singular and
r decides: prefer `ppca` or fewer features there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from clcore.checks import whole_number
from clcore.coreset import Coreset
from clcore.errors import ArgumentError
from clcore.geometry import as_matrix
from clcore.geometry.densities import gaussian_log_density, neighbour_radius, ppca_log_density
from clcore.pool import Pool
from clcore.quotas import Allowance
from clcore.ranking import ScoreSelector, one_of, rows_by

Density = Literal["gaussian", "ppca", "k-nn"]


@dataclass(frozen=True)
class InstanceSelection(ScoreSelector):
    """The rows of highest density within their class.

    Args:
        per_label: Fit each label on its own, and take from each its proportional share; if False
            the pool is one class.
        ties: Which of equal rows goes first: the `"first"` or a `"random"` one.
        density: `"gaussian"`, `"ppca"` or `"k-nn"`.
        regularisation: r, added to the variances of `"gaussian"`.
        variance: The share of the variance that the components of `"ppca"` explain.
        neighbours: k of `"k-nn"`.
    """

    per_label: bool = True
    density: Density = "gaussian"
    regularisation: float = 1e-5
    variance: float = 0.95
    neighbours: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("density", self.density, ("gaussian", "ppca", "k-nn"))
        if not 0 < self.regularisation < math.inf:
            raise ArgumentError(
                f"regularisation must be a finite number above 0, not {self.regularisation!r}"
            )
        if not 0 < self.variance < 1:
            raise ArgumentError(f"variance must be between 0 and 1, not {self.variance!r}")
        whole_number("neighbours", self.neighbours, least=1)

    def scores(self, pool: Pool) -> Tensor:
        """Return the log-density of each row in its class, or minus its radius."""
        features = as_matrix(pool.signal("features"))
        if not self.per_label or pool.labels is None:
            return self._density(features)
        scores = torch.empty(len(pool), dtype=torch.float64, device=pool.device)
        for rows in rows_by(pool.labels):
            scores[rows] = self._density(features[rows])
        return scores

    def _density(self, rows: Tensor) -> Tensor:
        if self.density == "gaussian":
            return gaussian_log_density(rows, self.regularisation)
        if self.density == "ppca":
            return ppca_log_density(rows, self.variance)
        return -neighbour_radius(rows, self.neighbours)

    def _select(
        self,
        pool: Pool,
        k: int,
        *,
        given: Tensor,
        allowance: Allowance,
        generator: torch.Generator,
    ) -> Coreset:
        if self.per_label and pool.labels is None:
            return replace(self, per_label=False)._select(
                pool, k, given=given, allowance=allowance, generator=generator
            )
        return super()._select(pool, k, given=given, allowance=allowance, generator=generator)
