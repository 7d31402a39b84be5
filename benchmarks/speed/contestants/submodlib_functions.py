"""submodlib: lazy greedy in C++ on dense matrices that are given."""

from __future__ import annotations

from typing import Any

import numpy as np
from submodlib import FacilityLocationFunction, GraphCutFunction, LogDeterminantFunction

from benchmarks.speed.contestants.similarities import Matrix, indicator, kernel, similarities
from benchmarks.speed.side_by_side.problem import Answer, Problem


def _facility_location(matrix: Matrix, k: int) -> Answer:
    function = FacilityLocationFunction(
        n=len(matrix), mode="dense", separate_rep=False, sijs=matrix
    )
    return Answer.of(_lazily(function, k))


def _lazily(function: Any, k: int) -> list[int]:
    picks = function.maximize(budget=k, optimizer="LazyGreedy", show_progress=False)
    return [row for row, _ in picks]


def facility_location(problem: Problem) -> Answer:
    """Facility location on similarities that are given."""
    return _facility_location(similarities(problem), problem.k)


def max_herding(problem: Problem) -> Answer:
    """Facility location with the kernel as similarity, which is MaxHerding."""
    return _facility_location(kernel(problem), problem.k)


def prob_cover(problem: Problem) -> Answer:
    """Facility location with the indicator of the radius as similarity, which is ProbCover."""
    return _facility_location(indicator(problem), problem.k)


def graph_cut(problem: Problem) -> Answer:
    """Graph cut on a kernel; its λ weighs the redundancy, so it is 1 over the row's weight."""
    function = GraphCutFunction(
        n=len(problem.features),
        mode="dense",
        lambdaVal=1 / problem.options["coverage"],
        separate_rep=False,
        ggsijs=kernel(problem),
    )
    return Answer.of(_lazily(function, problem.k))


def dpp(problem: Problem) -> Answer:
    """Greedy maximum of the determinant of a kernel with a ridge on its diagonal.

    All rows tie at first and it begins at the last: it is given the rows in reverse, so that all
    contestants begin at the same one.
    """
    n = len(problem.features)
    function = LogDeterminantFunction(
        n=n,
        mode="dense",
        lambdaVal=problem.options["ridge"],
        sijs=np.ascontiguousarray(kernel(problem)[::-1, ::-1]),
    )
    return Answer.of([n - 1 - row for row in _lazily(function, problem.k)])
