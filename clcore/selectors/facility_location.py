"""Facility location: picks such that every row is near to one of them.

Source: Cornuejols, Fisher & Nemhauser, "Location of bank accounts to optimize float", 1977, with
lazy greedy after Minoux 1978; in data selection Wei, Iyer & Bilmes, "Submodularity in data subset
selection and active learning", ICML 2015.

Formula: f(S) = Σ_x w(x) (c − min_{s ∈ S} d(x, s)), picked greedily; greedy k-medoids by another
name. Ties go to the lowest row. `weights` are the sizes (pool weights) of the cells: of the rows to
which a pick is the nearest; rows of `given` count with their nearest pick, so the weights sum to
the size (weight) of the pool. `gains` are exact on every path, and `report["value"]` is f of the
answer (with what was given).

Defaults: Euclidean distances; `metric="squared"` or `"cosine"` (1 − cos) are options.
`neighbours="auto"`: up to 8,192 rows the greedy is exact, above that it runs over a graph of the
50 nearest neighbours (faiss; `index`), with exact distances of all rows to the picks each time
these have grown by half, so that no row stays uncovered. Where k is too small for the graph, below
n/400, the picks are made among a sample of at least 200 k rows instead; so over the graph a
smaller coreset need not be a prefix. `report["graph_value"]` is what the graph alone knows of the
gains, `report["blind"]` the share of rows with no pick among their listed neighbours.
`neighbours=None` is exact whatever the size: n² distances at least, in blocks. On a GPU it is
always exact, in blocks of torch operations.

Differences from reference codes: apricot's `euclidean` means squared distances, converted by the
largest one, always in a dense n × n matrix; submodlib's is exp(−d/dim); DeepCore scans all rows in
each step and, unbalanced, sums its gains over a part of the rows only.

Expected numbers: on the 5,000 clustered rows of tests/clcore/selectors/test_facility_location.py,
500 picks leave a mean distance to the nearest of 5.95 (random 6.58) in 0.4 s on one core. On
20,000 × 64, 2,000 picks over the graph take 0.7 s and leave 5.605, the exact greedy takes 5.6 s and
leaves 5.609; without any structure (normal noise) the graph leaves 0.7 % more than the exact one,
and with `index="flat"`, in 1.4 s, no more. 10,000 picks of 1,000,000 × 64 took 146 CPU seconds on
two threads, and 2.8 GiB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from clcore.geometry.kernels import Metric, check_metric
from clcore.geometry.neighbours import Index
from clcore.objectives.facility_location import FacilityLocation as Objective
from clcore.pool import Pool
from clcore.selectors._coverage import CoverageSelector, Neighbours, check_neighbours


@dataclass(frozen=True)
class FacilityLocation(CoverageSelector):
    """Greedy picks that every row is near to, weighted by the sizes of their cells.

    Args:
        maximiser: A registered name or a maximiser.
        stop: When to stop before `k` picks.
        metric: `"euclidean"`, `"squared"` or `"cosine"`.
        neighbours: Size of the neighbour lists, None for exact picks, or `"auto"`.
        index: How neighbours are found: `"flat"`, `"ivf"`, `"hnsw"` or `"auto"`.
    """

    metric: Metric = "euclidean"
    neighbours: Neighbours = "auto"
    index: Index = "auto"

    weighted: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_metric(self.metric)
        check_neighbours(self.neighbours, self.index)
        if self.neighbours is not None:
            # A sample may serve a small k, so the picks for it need not begin those for a larger.
            object.__setattr__(self, "greedy", False)

    def objective(self, pool: Pool) -> Objective:
        """Make the set function for a pool."""
        return Objective(pool, metric=self.metric)

    def graph(self) -> tuple[Neighbours, Index]:
        """Return the size of the neighbour lists, and how neighbours are found."""
        return self.neighbours, self.index
