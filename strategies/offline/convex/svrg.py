"""SVRG: stochastic gradients with the variance taken out by an anchor.

Source: Johnson & Zhang, "Accelerating stochastic gradient descent using predictive variance
reduction", NIPS 2013; on weighted coresets Mirzasoleiman, Bilmes & Leskovec, ICML 2020 (CRAIG).

Formula: at the start of every `refresh` epochs the anchor w̃ ← W and its mean gradient are taken;
then W ← W − η (γ_j (∇f_j(W) − ∇f_j(w̃)) + ∇f_S(w̃)). With `anchor="all"` the last term is the
gradient over all data, ∇f(w̃), while the steps visit the coreset alone: one pass of matrix
products over the data for each anchor, and the answer is the optimum on all data (see
`strategies.offline.convex._solver`).

Defaults: η = 1 / (3 L), L the largest smoothness of a weighted row. One epoch an anchor.

Differences from the paper: rows come each once an epoch, not drawn with replacement, unless
`replacement=True`; the penalty's gradient is taken at W itself, not with the stochastic part; the
next anchor is the last W, the paper's option I.
"""

from __future__ import annotations

from strategies.offline.convex._solver import Solver, State
from strategies.offline.convex.schedules import Constant, Schedule


class SVRG(Solver):
    """Stochastic variance-reduced gradient.

    Args:
        learning_rate: η, or a schedule; by default 1 / (3 L).
        batch_size: Rows a step; their mean is taken.
        anchor: `"subset"`, or `"all"`: the anchor's gradient is over all data.
        refresh: Epochs between two anchors.
        replacement: Draw rows with replacement instead of each once an epoch.
        whiten: Take the steps in coordinates in which the curvature of the trained rows is even.

    Example:
        >>> import torch
        >>> from strategies.offline.convex import RidgeRegression
        >>> problem = RidgeRegression(torch.tensor([[1.0], [2.0]]), [2.0, 5.0], l2=0.0, bias=False)
        >>> float(SVRG(0.1).minimise(problem, epochs=100).w.round(decimals=3))
        2.4
    """

    def default_schedule(self, smoothness: float) -> Schedule:
        """Return 1 / (3 L)."""
        return Constant(1 / (3 * smoothness))

    def begin_epoch(self, state: State, epoch: int) -> None:
        """Take the anchor: the residuals of the inner rows, and the mean gradient."""
        if epoch % self.refresh:
            return
        over_all = self.anchor == "all" and state.rows is not None
        residuals, mean = state.whole_pass() if over_all else state.inner_pass()
        if over_all:
            residuals = residuals[state.rows]
        state.base = residuals.double().contiguous()
        state.centre = mean
