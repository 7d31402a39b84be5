"""Leverage sampling: weighted random rows, those with rare features more likely.

Source: importance sampling by sensitivities, Langberg & Schulman, "Universal ε-approximators for
integrals", SODA 2010; with leverage scores for logistic regression Munteanu, Schwiegelshohn, Sohler
& Woodruff, "On coresets for logistic regression", NeurIPS 2018. Drawing: systematic sampling,
Madow, Annals of Mathematical Statistics 20(3), 1949.

Formula: with the scores s_i = Σ_a x_ia² / mean_j x_ja² over the columns, the constant 1 of the bias
among them, row i is picked with the probability

    π_i = min(1, c (u + (1 − u) s_i / mean s)),   Σ_i π_i = k,

and stands for w_i / π_i rows. So each sum over rows is estimated without bias, and the gradient of
a pick, γ_i times as long, has about the same length whether its features are rare or common: what
limits the step size of stochastic solvers is gone.

Defaults: u = 0.5, so no row weighs more than twice what a uniform draw would give it.

Differences from the sources: the scores are the leverages of a diagonal Gram matrix, which take one
pass instead of n d²; for columns that are indicators of classes they are the leverages.

Expected numbers: 50,000 of 500,000 × 54 in 0.03 s on one core.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor

from clcore import Coreset
from clcore.checks import whole_number
from clcore.coreset import Cost
from clcore.errors import ArgumentError
from strategies.offline.convex._problem import Problem

_ROWS = 8192


def leverage_sample(problem: Problem, k: int, *, uniform: float = 0.5, seed: int = 0) -> Coreset:
    """Draw a weighted coreset for a linear model.

    Args:
        problem: All data, weighted or not.
        k: How many rows, at most as many as there are.
        uniform: u, the share of the probability that is the same for all rows: above 0 to 1.
        seed: Of the one random number that is drawn.

    Returns:
        `k` different rows, ascending; the weights sum to the number of rows, or to n times the
        mean weight of 1 that the problem's weights have.

    Raises:
        ArgumentError: If an argument is out of range.

    Example:
        >>> from strategies.offline.convex import RidgeRegression
        >>> rows = torch.tensor([[1.0, 0.0]] * 8 + [[0.0, 1.0]])
        >>> coreset = leverage_sample(RidgeRegression(rows, torch.zeros(9)), 4)
        >>> len(coreset), round(float(coreset.weights.sum()), 3)
        (4, 9.0)
    """
    started = time.perf_counter()
    k = whole_number("k", k, least=1)
    if k > len(problem):
        raise ArgumentError(f"k must be at most the {len(problem)} rows, not {k}")
    if not 0 < uniform <= 1:
        raise ArgumentError(f"uniform must be above 0 and at most 1, not {uniform!r}")
    scores = leverages(problem)
    chances = uniform + (1 - uniform) * scores / scores.mean()
    if problem.weights is not None:
        chances = chances * problem.weights
    chances = inclusion(chances, k)
    generator = torch.Generator().manual_seed(whole_number("seed", seed))
    offset = torch.rand((), generator=generator, dtype=torch.float64)
    # One pick for each whole number that the running sum passes; rounding must not lose the last.
    passed = (chances.cumsum(0) * (k / float(chances.sum())) + offset).floor().clamp(max=k)
    picks = torch.diff(passed, prepend=passed.new_zeros(1)).nonzero().squeeze(1)
    weights = 1 / chances[picks]
    if problem.weights is not None:
        weights = weights * problem.weights[picks]
    weights = weights * (len(problem) / weights.sum())
    return Coreset(
        picks,
        weights,
        torch.zeros(len(picks), dtype=torch.float64),
        Cost(seconds=time.perf_counter() - started),
    )


def leverages(problem: Problem) -> Tensor:
    """Return the leverage of each row under a diagonal Gram matrix, float64 `[n]`, of mean d."""
    blocks = torch.split(problem.x, _ROWS)
    squares = torch.zeros(problem.x.shape[1], dtype=torch.float64)
    for rows in blocks:
        squares += rows.square().sum(0)
    mean = squares / len(problem)
    # A column of zeros tells nothing.
    inverse = torch.where(mean > 0, 1 / mean, 0).to(problem.x.dtype)
    scores = torch.cat([rows.square() @ inverse for rows in blocks])
    return scores.double() + float(problem.bias)


def inclusion(masses: Tensor, k: int) -> Tensor:
    """Scale masses to probabilities of inclusion: min(1, c m) with sum k.

    Args:
        masses: Float64 `[n]`, none negative, at least `k` of them above 0.
        k: Of the sum.

    Returns:
        Float64 `[n]`.
    """
    certain = torch.zeros(len(masses), dtype=torch.bool)
    while True:
        rest = masses[~certain].sum()
        scaled = masses * ((k - int(certain.sum())) / rest) if rest > 0 else masses
        over = (scaled >= 1) & ~certain
        if not bool(over.any()):
            return torch.where(certain, 1.0, scaled)
        certain |= over
