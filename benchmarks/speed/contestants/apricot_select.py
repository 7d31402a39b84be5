"""apricot: lazy greedy on dense matrices; it compiles its kernels anew in each `fit`."""

from __future__ import annotations

from typing import Any

import numpy as np
from apricot import FacilityLocationSelection, FeatureBasedSelection, GraphCutSelection

from benchmarks.speed.contestants.similarities import Matrix, indicator, kernel, similarities
from benchmarks.speed.side_by_side.problem import Answer, Problem


def _lazily(matrix: Matrix, k: int) -> Answer:
    selection = FacilityLocationSelection(k, metric="precomputed", optimizer="lazy")
    return Answer.of(selection.fit(matrix).ranking)


def facility_location(problem: Problem) -> Answer:
    """Facility location on similarities that are given."""
    return _lazily(similarities(problem), problem.k)


def facility_location_native(problem: Problem) -> Answer:
    """Facility location as it comes: similarities from squared distances."""
    selection = FacilityLocationSelection(problem.k, metric="euclidean", optimizer="lazy")
    return Answer.of(selection.fit(_double(problem)).ranking)


def facility_location_graph(problem: Problem) -> Answer:
    """Facility location over its own graph of nearest neighbours."""
    neighbours = min(problem.options["neighbours"], len(problem.features) - 1)
    selection = FacilityLocationSelection(problem.k, optimizer="lazy", n_neighbors=neighbours)
    return Answer.of(selection.fit(_double(problem)).ranking)


def max_herding(problem: Problem) -> Answer:
    """Facility location with the kernel as similarity, which is MaxHerding."""
    return _lazily(kernel(problem), problem.k)


def prob_cover(problem: Problem) -> Answer:
    """Facility location with the indicator of the radius as similarity, which is ProbCover."""
    return _lazily(indicator(problem), problem.k)


def graph_cut(problem: Problem) -> Answer:
    """Graph cut on a kernel, with the row's weight of coverage."""
    selection = GraphCutSelection(
        problem.k,
        metric="precomputed",
        alpha=problem.options["coverage"],
        optimizer="lazy",
    )
    return Answer.of(selection.fit(kernel(problem).astype(np.float64)).ranking)


def feature_based(problem: Problem) -> Answer:
    """Sums of square roots of feature sums."""
    selection = FeatureBasedSelection(problem.k, concave_func="sqrt", optimizer="lazy")
    return Answer.of(selection.fit(_double(problem)).ranking)


def _double(problem: Problem) -> Any:
    # Its compiled kernels are declared for double precision alone.
    return problem.features.astype(np.float64)
