"""Facility location: how near every row is to the nearest pick.

Source: Cornuejols, Fisher & Nemhauser, "Location of bank accounts to optimize float", 1977; for
coresets Mirzasoleiman, Bilmes & Leskovec, "Coresets for data-efficient training of machine
learning models" (CRAIG), ICML 2020.

Formula: f(S) = Σ_x w(x) (c − min_{s ∈ S} d(x, s)), with c no less than the largest distance, so
that the picks do not depend on it; f(∅) = 0. It is kernel coverage with κ = c − d; c is twice the
largest distance to the mean (squared, for squared distances).
"""

from __future__ import annotations

from clcore.geometry.kernels import Metric, distance_kernel
from clcore.objective import Objective
from clcore.objectives.kernel_coverage import KernelCoverage, largest_distance
from clcore.pool import Pool


class FacilityLocation(KernelCoverage):
    """Sum over all rows of c less the distance to the nearest pick.

    Args:
        pool: The candidates; its weights are w.
        metric: `"euclidean"`, `"squared"` (Euclidean) or `"cosine"` (1 − cos; rows are scaled to
            length 1).

    Raises:
        ArgumentError: If there is no such metric.
    """

    def __init__(self, pool: Pool, metric: Metric = "euclidean") -> None:
        Objective.__init__(self, pool, metric=metric)
        points = self._make_points(pool, normalise=metric == "cosine")
        self._prepare(points, distance_kernel(metric, largest_distance(points)))
