"""Orthogonal matching pursuit as its paper writes it, on gradients that are multiplied out."""

from __future__ import annotations

import importlib

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.side_by_side.problem import Answer, Problem


def multiplied_out(problem: Problem) -> NDArray[np.float64]:
    """Multiply the factors of the last-layer gradients, bias included.

    Args:
        problem: With `logit_gradients` `[n, C]` and `features` `[n, d]`.

    Returns:
        `[n, C · (d + 1)]` in double precision.
    """
    features = problem.features.astype(np.float64)
    with_bias = np.concatenate((features, np.ones((len(features), 1))), axis=1)
    residuals = problem.arrays["logit_gradients"].astype(np.float64)
    outer: NDArray[np.float64] = residuals[:, :, None] * with_bias[:, None, :]
    return outer.reshape(len(features), -1)


def non_negative(problem: Problem) -> Answer:
    """Take the row most along the residual, solve for weights that are not negative, repeat."""
    nnls = importlib.import_module("scipy.optimize").nnls
    matrix = multiplied_out(problem)
    target = matrix.sum(axis=0)
    residual, weights = target, np.zeros(0)
    picks: list[int] = []
    while len(picks) < problem.k:
        along = matrix @ residual
        along[picks] = -np.inf
        row = int(along.argmax())
        if along[row] <= 0:
            break
        picks.append(row)
        weights, _ = nnls(matrix[picks].T, target)
        residual = target - weights @ matrix[picks]
    return Answer.of(picks, weights)
