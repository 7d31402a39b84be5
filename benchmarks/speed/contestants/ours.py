"""Ours, through the front door: a pool is made and everything is checked in each call."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.speed.side_by_side.problem import Answer, Problem
from clcore import Pool, select


def _select(name: str, problem: Problem, *, weighted: bool = False, **options: Any) -> Answer:
    signals = {key: torch.from_numpy(values) for key, values in problem.arrays.items()}
    coreset = select(name, Pool(**signals), problem.k, seed=problem.seed, **options)
    return Answer.of(coreset.indices.numpy(), coreset.weights.numpy() if weighted else None)


def k_center(problem: Problem) -> Answer:
    """Farthest-first, from the row nearest to the mean."""
    return _select("k-center", problem)


def facility_location(problem: Problem) -> Answer:
    """Facility location on Euclidean distances, with the options of the row."""
    return _select("facility-location", problem, **problem.options.get("select", {}))


def max_herding(problem: Problem) -> Answer:
    """MaxHerding with the row's kernel."""
    options = problem.options
    return _select(
        "max-herding", problem, bandwidth=options["bandwidth"], normalise=options["normalise"]
    )


def prob_cover(problem: Problem) -> Answer:
    """ProbCover with a radius that is given, on features as they are."""
    return _select("prob-cover", problem, delta=problem.options["radius"], normalise=False)


def herding(problem: Problem) -> Answer:
    """Herding of the whole pool on features as they are."""
    return _select("herding", problem, normalise=False, per_label=False)


def k_means_plus_plus(problem: Problem) -> Answer:
    """Seeding by D², the paper's distribution."""
    return _select("k-means-plus-plus", problem, **problem.options.get("select", {}))


def k_means(problem: Problem) -> Answer:
    """The rows nearest to the centroids of k-means."""
    return _select("k-means", problem)


def gradient_matching(problem: Problem) -> Answer:
    """Orthogonal matching pursuit on last-layer gradients, never multiplied out."""
    return _select("gradmatch", problem, weighted=True, **problem.options.get("select", {}))


def graph_cut(problem: Problem) -> Answer:
    """Graph cut on a kernel, with the row's weight of coverage."""
    options: dict[str, Any] = {
        "similarity": "rbf",
        "bandwidth": problem.options["bandwidth"],
        "trade_off": problem.options["coverage"],
    }
    return _select("graph-cut", problem, **options)


def feature_based(problem: Problem) -> Answer:
    """Sums of square roots of feature sums."""
    return _select("feature-based", problem)


def dpp(problem: Problem) -> Answer:
    """Greedy maximum of the determinant of a kernel with a ridge on its diagonal.

    All rows tie at first; the selector `dpp` begins in the middle, this at the first row, as others
    do.
    """
    options = {"bandwidth": problem.options["bandwidth"], "jitter": problem.options["ridge"]}
    return _select("greedy", problem, set_function="log-determinant", options=options)


def random(problem: Problem) -> Answer:
    """Uniform draws: what the objective is worth without any method."""
    return _select("random", problem)
