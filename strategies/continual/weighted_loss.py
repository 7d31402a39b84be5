"""The loss of a batch whose rows count differently.

A weighted mean is only right if it agrees with the criterion's own mean when all weights are one:
class weights and ignored labels change what the criterion divides by, so the weighted form divides
by the same thing, weighted.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from clcore.errors import ArgumentError

Criterion = Callable[..., Tensor]
_REDUCTIONS = ("mean", "sum", "batchmean")


class WeightedLoss:
    """A criterion with one weight for each row.

    Args:
        criterion: A loss module with a `reduction` (every loss of `torch.nn`), or a function that
            takes `reduction=` (every loss of `torch.nn.functional`).

    Raises:
        ArgumentError: The criterion can't give one loss for each sample.

    Example:
        >>> loss = WeightedLoss(nn.CrossEntropyLoss())
        >>> logits, labels = torch.zeros(3, 2), torch.tensor([0, 1, 0])
        >>> bool(loss(logits, labels, torch.ones(3)) == nn.CrossEntropyLoss()(logits, labels))
        True
    """

    def __init__(self, criterion: Criterion) -> None:
        self.criterion = criterion
        if isinstance(criterion, nn.Module) and hasattr(criterion, "reduction"):
            unreduced: Any = copy.copy(criterion)
            unreduced.reduction = "none"
            self._unreduced: Criterion = unreduced
            reduction: Any = criterion.reduction
        else:
            parameter = _reduction_parameter(criterion)
            if parameter is None:
                raise ArgumentError(
                    f"criterion: {_name(criterion)} gives no loss for each sample, which exemplars "
                    "with weights need; use a loss that has a `reduction`, or weighted=False"
                )
            self._unreduced = _without_reduction(criterion)
            reduction = parameter.default
        if reduction not in _REDUCTIONS:
            raise ArgumentError(
                f"criterion: the reduction of {_name(criterion)} is {reduction!r}; weighted "
                f"exemplars need one of {', '.join(_REDUCTIONS)}"
            )
        self.reduction: str = reduction

    def __call__(self, output: Tensor, y: Tensor, weights: Tensor) -> Tensor:
        """Compute the weighted loss.

        Args:
            output: What the model gave, `[n, ...]`.
            y: Labels, `[n, ...]`.
            weights: `[n]`, none negative; ones give the criterion's own loss.

        Returns:
            The loss, a scalar. With reduction `"mean"` the weighted mean; with `"sum"` the
            weighted sum, scaled so that the weights of the batch average one.

        Raises:
            ArgumentError: The criterion doesn't give one loss for each sample.
        """
        losses = self._checked(output, y)
        spread = weights.to(losses).view(-1, *[1] * (losses.ndim - 1))
        total = (spread * losses).sum()
        if self.reduction == "sum":
            return total * (len(weights) / weights.sum())
        if self.reduction == "batchmean":
            return total / weights.sum()
        return total / (spread * self._shares(losses, y)).sum()

    def each(self, output: Tensor, y: Tensor) -> Tensor:
        """The loss of each sample.

        Args:
            output: What the model gave, `[n, ...]`.
            y: Labels, `[n, ...]`.

        Returns:
            `[n]`; where a sample has several losses (pixels, tokens), their mean.

        Raises:
            ArgumentError: The criterion doesn't give one loss for each sample.
        """
        losses = self._checked(output, y)
        return losses if losses.ndim == 1 else losses.flatten(1).mean(1)

    def _checked(self, output: Tensor, y: Tensor) -> Tensor:
        losses = self._unreduced(output, y)
        if losses.shape[:1] != output.shape[:1]:
            raise ArgumentError(
                f"criterion: {_name(self.criterion)} gave losses of shape {tuple(losses.shape)} "
                f"for {len(output)} weighted samples; one for each is needed"
            )
        return losses

    def _shares(self, losses: Tensor, y: Tensor) -> Tensor:
        """What each loss counts for in the criterion's own mean."""
        shares = torch.ones_like(losses)
        criterion: Any = self.criterion
        if isinstance(criterion, nn.CrossEntropyLoss | nn.NLLLoss) and not y.is_floating_point():
            kept = y != criterion.ignore_index
            if criterion.weight is not None:
                shares = criterion.weight[torch.where(kept, y, 0)]
            shares = shares * kept
        return shares


def _reduction_parameter(criterion: Criterion) -> inspect.Parameter | None:
    try:
        return inspect.signature(criterion).parameters.get("reduction")
    except (TypeError, ValueError):  # built-ins without a signature
        return None


def _without_reduction(criterion: Criterion) -> Criterion:
    def unreduced(output: Tensor, y: Tensor) -> Tensor:
        return criterion(output, y, reduction="none")

    return unreduced


def _name(criterion: Criterion) -> str:
    return getattr(criterion, "__name__", type(criterion).__name__)
