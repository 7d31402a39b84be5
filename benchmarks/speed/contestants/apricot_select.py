"""apricot: lazy greedy on dense matrices; it compiles its kernels anew in each `fit`."""

from __future__ import annotations

from typing import Any

import numpy as np
from apricot import FacilityLocationSelection, FeatureBasedSelection, GraphCutSelection
from sklearn.neighbors import kneighbors_graph

from benchmarks.speed.contestants.similarities import Matrix, kernel, similarities
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
    """Facility location over a graph of nearest neighbours by scikit-learn."""
    neighbours = min(problem.options["neighbours"], len(problem.features) - 1)
    # Its own `n_neighbors` fails: its kernels want 32-bit indices, scikit-learn gives 64-bit ones.
    graph = kneighbors_graph(
        problem.features, neighbours, mode="distance", include_self=True
    ).astype(np.float64)
    graph.data = graph.data.max() - graph.data
    graph.indices, graph.indptr = graph.indices.astype(np.int32), graph.indptr.astype(np.int32)
    selection = FacilityLocationSelection(problem.k, metric="precomputed", optimizer="lazy")
    return Answer.of(selection.fit(graph).ranking)


def max_herding(problem: Problem) -> Answer:
    """Facility location with the kernel as similarity, which is MaxHerding."""
    return _lazily(kernel(problem), problem.k)


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
