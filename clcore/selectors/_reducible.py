"""Softmax regression that is fitted again and again on a growing set of rows.

The model is the posterior mode under a Gaussian prior on the weights W of logits Wᵀx,

    min_W  Σ_i ℓ(Wᵀx_i, y_i) + λ/2 ‖W‖²,        W = Σ_i x_i a_iᵀ,   a_i = (onehot(y_i) − p_i) / λ,

so few rows give cautious predictions and more rows bolder ones, without a number of steps to
choose. It is solved for A (one row of numbers for each row of data) by majorisation: the Hessian is
never larger than XXᵀ/2 + λ (Böhning, "Multinomial logistic regression algorithm", 1992), so every
step with that matrix lowers the objective. It is factored once a fit, in the smaller of rows and
columns; a step is a few products of a matrix with `C` columns. New rows start with a = 0.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

_TOLERANCE = 1e-4
"""How far the root mean square of λa − (onehot(y) − p) over the rows may stay from zero."""
_MOST_STEPS = 2000


class Fit:
    """A softmax regression and the rows that it was fitted on.

    Args:
        x: Rows of the pool, float64 `[n, p]`, without a column for the bias.
        y: Classes, int64 `[n]`, from 0 to C − 1.
        decay: λ, above 0; the bias is a weight like the others.
    """

    def __init__(self, x: Tensor, y: Tensor, decay: float) -> None:
        self._x = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
        self._y = y
        self._hot = nn.functional.one_hot(y).to(x)
        self._decay = decay
        self._rows = y[:0]
        self._dual = self._hot[:0]

    def add(self, rows: Tensor) -> None:
        """Fit on these rows too; a warning tells where the fit has not converged.

        Args:
            rows: int64 `[m]`, rows of the pool that were not added before.
        """
        if not len(rows):
            return
        self._rows = torch.cat([self._rows, rows])
        self._dual = torch.cat([self._dual, torch.zeros_like(self._hot[: len(rows)])])
        x, hot = self._x[self._rows], self._hot[self._rows]
        metric = _Metric(x, self._decay)
        error = torch.inf
        for _ in range(_MOST_STEPS):
            chances = metric.times(self._dual).softmax(dim=1)
            rest = chances - hot + self._decay * self._dual
            error = float(rest.square().sum(dim=1).mean().sqrt())
            if error <= _TOLERANCE:
                return
            self._dual = self._dual - metric.solve(rest)
        warnings.warn(
            f"the softmax regression on {len(x)} rows has not converged in {_MOST_STEPS} steps: "
            f"residual {error:.1e}, {_TOLERANCE:.0e} wanted; a larger decay converges faster",
            stacklevel=2,
        )

    def losses(self) -> Tensor:
        """Compute the cross-entropy of every row of the pool, float64 `[n]`."""
        logits = self._x @ (self._x[self._rows].t() @ self._dual)
        return nn.functional.cross_entropy(logits, self._y, reduction="none")


class _Metric:
    """XXᵀ and the inverse of XXᵀ/2 + λ, factored in the smaller of rows and columns."""

    def __init__(self, x: Tensor, decay: float) -> None:
        self._x, self._decay = x, decay
        rows, columns = x.shape
        self._by_rows = rows <= columns
        self._gram = x @ x.t() if self._by_rows else x.t() @ x
        shift = 2 * decay * torch.eye(len(self._gram), dtype=x.dtype, device=x.device)
        self._factor = torch.linalg.cholesky(self._gram + shift)

    def times(self, values: Tensor) -> Tensor:
        return self._gram @ values if self._by_rows else self._x @ (self._x.t() @ values)

    def solve(self, values: Tensor) -> Tensor:
        if self._by_rows:
            return 2 * torch.cholesky_solve(values, self._factor)
        inner = torch.cholesky_solve(self._x.t() @ values, self._factor)
        return (values - self._x @ inner) / self._decay
