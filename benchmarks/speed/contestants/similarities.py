"""The n × n matrices that dense packages are given; making them is part of their time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import euclidean_distances
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import normalize

from benchmarks.speed.side_by_side.problem import Problem

Matrix = NDArray[np.float32]


def distances(problem: Problem) -> Matrix:
    """Compute all Euclidean distances, `[n, n]` in single precision."""
    matrix: Matrix = euclidean_distances(problem.features)
    return matrix


def similarities(problem: Problem) -> Matrix:
    """Compute the largest distance less the distance: facility location on Euclidean distances."""
    matrix = distances(problem)
    found: Matrix = np.subtract(matrix.max(), matrix, out=matrix)
    return found


def kernel(problem: Problem) -> Matrix:
    """Compute exp(−d²/σ²), on rows of length 1 where the problem says so."""
    options = problem.options
    features = normalize(problem.features) if options.get("normalise") else problem.features
    matrix: Matrix = rbf_kernel(features, gamma=options["bandwidth"] ** -2)
    return matrix


def indicator(problem: Problem) -> Matrix:
    """Say which rows are within the radius of each other, as 0 and 1."""
    matrix = distances(problem)
    np.less_equal(matrix, problem.options["radius"], out=matrix, casting="unsafe")
    return matrix
