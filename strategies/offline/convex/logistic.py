"""Logistic regression: two classes, or several by softmax.

Formula: for two classes with y = ±1 (the larger label is +1), ℓ = log(1 + exp(−y z)) and
r = −y / (1 + exp(y z)); for C classes ℓ = log Σ_c exp(z_c) − z_y and r = softmax(z) − onehot(y).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from clcore.checks import integer_column
from clcore.errors import ArgumentError
from strategies.offline.convex._problem import LOGISTIC, SOFTMAX, Problem


class LogisticRegression(Problem):
    """Logistic regression with an L2 penalty.

    Args:
        x: Float `[n, d]` on the CPU; float32 or float64.
        y: Integers or booleans `[n]`: at least two different labels.
        l2: λ of the penalty λ/2 ‖W‖²; the biases are not penalised.
        bias: Whether there is a constant.
        multinomial: Softmax over all classes; by default where there are more than two.
        weights: `[n]`, none negative: how much each row counts. Scaled to mean 1.

    Attributes:
        classes: int64 `[C]`: the labels, ascending.

    Raises:
        ArgumentError: If x or y is not what it should be.
        SignalError: If x holds NaN or infinity.

    Example:
        >>> problem = LogisticRegression(torch.tensor([[0.0], [1.0], [3.0]]), [0, 0, 1], l2=0.1)
        >>> round(problem.loss(problem.zeros()), 4), problem.shape
        (0.6931, (2,))
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        *,
        l2: float = 1e-4,
        bias: bool = True,
        multinomial: bool | None = None,
        weights: Any = None,
    ) -> None:
        self.classes, place = torch.unique(_labels(y), return_inverse=True)
        count = len(self.classes)
        if count < 2:
            raise ArgumentError(f"y must hold at least two different labels, not {count}")
        self.multinomial = count > 2 if multinomial is None else bool(multinomial)
        if not self.multinomial and count > 2:
            raise ArgumentError(f"multinomial=False is for two classes, and y has {count}")
        target = (place if self.multinomial else 2 * place - 1).double()[:, None].contiguous()
        outputs = count if self.multinomial else 1
        kind, curvature = (SOFTMAX, 0.5) if self.multinomial else (LOGISTIC, 0.25)
        super().__init__(
            x, target, outputs, kind=kind, curvature=curvature, l2=l2, bias=bias, weights=weights
        )

    @property
    def _is_flat(self) -> bool:
        return not self.multinomial

    @property
    def y(self) -> Tensor:
        """The labels as they were given, int64 `[n]`."""
        labels: Tensor = self.classes[self._places()]
        return labels

    def predict(self, w: Tensor, x: Any = None) -> Tensor:
        """Return the label with the largest score, int64 `[m]`."""
        labels: Tensor = self.classes[self._chosen(self.scores(w, x))]
        return labels

    def probabilities(self, w: Tensor, x: Any = None) -> Tensor:
        """Return the probability of each class, float64 `[m, C]`."""
        scores = self.scores(w, x)
        if self.multinomial:
            return scores.softmax(1)
        return torch.cat([torch.sigmoid(-scores), torch.sigmoid(scores)], 1)

    def losses_of(self, scores: Tensor, target: Tensor) -> Tensor:
        """Return ℓ of each row, `[b]`."""
        if self.multinomial:
            return functional.cross_entropy(scores, target[:, 0].long(), reduction="none")
        return functional.softplus(-target.to(scores) * scores)[:, 0]

    def residuals_of(self, scores: Tensor, target: Tensor) -> Tensor:
        """Return ∂ℓ/∂z, `[b, outputs]`; the scores are overwritten."""
        if self.multinomial:
            probabilities = scores.softmax(1)
            probabilities[torch.arange(len(scores)), target[:, 0].long()] -= 1
            return probabilities
        signs = target.to(scores)
        return scores.mul_(signs).neg_().sigmoid_().mul_(signs).neg_()

    def _error(self, scores: Tensor, y: Any) -> float:
        labels = _labels(y)
        if len(labels) != len(scores):
            raise ArgumentError(f"y has {len(labels)} rows where x has {len(scores)}")
        return float((self.classes[self._chosen(scores)] != labels).double().mean())

    def _chosen(self, scores: Tensor) -> Tensor:
        return scores.argmax(1) if self.multinomial else (scores[:, 0] > 0).long()

    def _places(self) -> Tensor:
        first = self._target[:, 0]
        return (first if self.multinomial else (first + 1) / 2).long()

    def _labels(self) -> Tensor:
        return self._places()


def _labels(y: Any) -> Tensor:
    if isinstance(y, Tensor) and y.dtype == torch.bool:
        y = y.long()
    return integer_column("y", y, None).cpu()
