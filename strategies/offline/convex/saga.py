"""SAGA: variance taken out by the residual that each row had on its last visit.

Source: Defazio, Bach & Lacoste-Julien, "SAGA: a fast incremental gradient method with support for
non-strongly convex composite objectives", NIPS 2014; on weighted coresets Mirzasoleiman, Bilmes &
Leskovec, ICML 2020 (CRAIG).

Formula: with a table of residuals b_j and their mean gradient g = Σ γ_j b_j ⊗ [x_j, 1] / k,

    W ← W − η (γ_j (r_j − b_j) ⊗ [x_j, 1] + g + c),   then b_j ← r_j and g follows,

where c = 0, or with `anchor="all"` the constant ∇f(w̃) − ∇f_S(w̃) of the last anchor (see
`strategies.offline.convex._solver`). The table holds one number a row and output, not a gradient.

Defaults: η = 1 / (3 L), L the largest smoothness of a weighted row, as in the paper. The table
starts with the residuals at the start, one pass over the rows.

Differences from the paper: rows come each once an epoch, not drawn with replacement, unless
`replacement=True`; the penalty is in the step, not in a proximal operator.
"""

from __future__ import annotations

from strategies.offline.convex._solver import Solver, State
from strategies.offline.convex.schedules import Constant, Schedule


class SAGA(Solver):
    """SAGA with a table of residuals.

    Args:
        learning_rate: η, or a schedule; by default 1 / (3 L).
        batch_size: Rows a step; their mean is taken.
        anchor: `"subset"`, or `"all"` to add what the coreset's gradient misses at the anchor.
        refresh: Epochs between two anchors.
        replacement: Draw rows with replacement instead of each once an epoch.
        whiten: Take the steps in coordinates in which the curvature of the trained rows is even.

    Example:
        >>> import torch
        >>> from strategies.offline.convex import RidgeRegression
        >>> problem = RidgeRegression(torch.tensor([[1.0], [2.0]]), [2.0, 5.0], l2=0.0, bias=False)
        >>> float(SAGA(0.1).minimise(problem, epochs=100).w.round(decimals=3))
        2.4
    """

    remembers = True

    def default_schedule(self, smoothness: float) -> Schedule:
        """Return 1 / (3 L)."""
        return Constant(1 / (3 * smoothness))

    def prepare(self, state: State) -> None:
        """Fill the table with the residuals at the start."""
        residuals, mean = state.inner_pass()
        state.base, state.centre = residuals.double().contiguous(), mean
