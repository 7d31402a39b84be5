"""Stochastic gradient descent on a weighted coreset, or on all data.

Source: the incremental gradient method of Mirzasoleiman, Bilmes & Leskovec, "Coresets for
data-efficient training of machine learning models", ICML 2020 (CRAIG), section 3.

Formula: W ← W − η_k (γ_j ∇f_j(W) + c), with γ of mean 1; c = 0, or with `anchor="all"` the
constant ∇f(w̃) − ∇f_S(w̃) of the last anchor (see `strategies.offline.convex._solver`).

Defaults: η_k = 1 / (L (1 + k)) with L the largest smoothness of a weighted row: safe, and seldom
the best.

Differences from reference codes: the weights of CRAIG's script are multiplied into the step of a
pick, not normalised, so that its step sizes for all data and for a coreset differ by n / k.
"""

from __future__ import annotations

from strategies.offline.convex._solver import Solver
from strategies.offline.convex.schedules import KInverse, Schedule


class SGD(Solver):
    """Stochastic gradient descent.

    Args:
        learning_rate: η, or a schedule; by default 1 / (L (1 + k)) in epoch k.
        batch_size: Rows a step; their mean is taken.
        anchor: `"subset"`, or `"all"` to add what the coreset's gradient misses at the anchor.
        refresh: Epochs between two anchors.
        replacement: Draw rows with replacement instead of each once an epoch.
        whiten: Take the steps in coordinates in which the curvature of the trained rows is even.

    Example:
        >>> import torch
        >>> from strategies.offline.convex import RidgeRegression
        >>> problem = RidgeRegression(torch.tensor([[1.0], [2.0]]), [2.0, 4.0], l2=0.0, bias=False)
        >>> float(SGD(0.1).minimise(problem, epochs=100).w.round(decimals=3))
        2.0
    """

    def default_schedule(self, smoothness: float) -> Schedule:
        """Return 1 / (L (1 + k))."""
        return KInverse(1 / smoothness, 1.0)
