"""Ridge regression: least squares with an L2 penalty, for one or several targets.

Formula: ℓ = ‖z − y‖² / 2 and r = z − y.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from clcore.checks import as_tensor, require_finite
from clcore.errors import ArgumentError
from strategies.offline.convex._problem import SQUARES, Problem


class RidgeRegression(Problem):
    """Least squares with an L2 penalty.

    Args:
        x: Float `[n, d]` on the CPU; float32 or float64.
        y: Numbers `[n]` or `[n, m]`.
        l2: λ of the penalty λ/2 ‖W‖²; the biases are not penalised.
        bias: Whether there is a constant.
        weights: `[n]`, none negative: how much each row counts. Scaled to mean 1.

    Raises:
        ArgumentError: If x or y is not what it should be.
        SignalError: If x or y holds NaN or infinity.

    Example:
        >>> problem = RidgeRegression(torch.tensor([[0.0], [2.0]]), [1.0, 3.0], l2=0.0)
        >>> problem.loss(torch.tensor([1.0, 1.0]))
        0.0
    """

    def __init__(
        self, x: Any, y: Any, *, l2: float = 1e-4, bias: bool = True, weights: Any = None
    ) -> None:
        values = _targets(y)
        self._one_target = values.ndim == 1
        target = values.reshape(len(values), -1).contiguous()
        super().__init__(
            x,
            target,
            target.shape[1],
            kind=SQUARES,
            curvature=1.0,
            l2=l2,
            bias=bias,
            weights=weights,
        )

    @property
    def _is_flat(self) -> bool:
        return self._one_target

    @property
    def y(self) -> Tensor:
        """The targets, float64 `[n]` or `[n, m]`."""
        return self._target[:, 0] if self._one_target else self._target

    def predict(self, w: Tensor, x: Any = None) -> Tensor:
        """Return the scores, float64 `[m]`, or `[m, outputs]` with several targets."""
        scores = self.scores(w, x)
        return scores[:, 0] if self._one_target else scores

    def losses_of(self, scores: Tensor, target: Tensor) -> Tensor:
        """Return ℓ of each row, `[b]`."""
        return (scores - target).square().sum(1) / 2

    def residuals_of(self, scores: Tensor, target: Tensor) -> Tensor:
        """Return ∂ℓ/∂z, `[b, outputs]`; the scores are overwritten."""
        return scores - target.to(scores)

    def _error(self, scores: Tensor, y: Any) -> float:
        values = _targets(y).reshape(-1, self.outputs)
        if len(values) != len(scores):
            raise ArgumentError(f"y has {len(values)} rows where x has {len(scores)}")
        return float((scores - values).square().sum(1).mean())


def _targets(y: Any) -> Tensor:
    values = as_tensor("y", y).detach().cpu()
    if values.ndim not in (1, 2) or values.is_complex():
        raise ArgumentError(f"y must be numbers of shape [n] or [n, m], not {tuple(values.shape)}")
    values = values.to(torch.float64)
    require_finite("y", values)
    return values
