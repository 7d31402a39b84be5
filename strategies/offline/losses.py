"""The loss of each row, from a loss as it is given.

A loss that is reduced already can't be weighted any more: Σ γ_j f_j needs each f_j. So torch's own
losses are used with `reduction="none"`, and whatever gives one number for a batch is refused.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from clcore.errors import ArgumentError

Loss = Callable[[Tensor, Tensor], Tensor]


class RowLosses:
    """A loss that gives one value a row.

    Args:
        loss: A loss module with a `reduction`, a function that takes `reduction=`, or a callable
            `loss(outputs, targets)` that gives one value a row (several are averaged).

    Attributes:
        plain_cross_entropy: Whether it is cross-entropy without weights, smoothing or the like, so
            that gradients for the logits follow from logits and labels alone.

    Raises:
        ArgumentError: The loss is not callable, or is reduced in a way that can't be undone.

    Example:
        >>> losses = RowLosses(nn.CrossEntropyLoss())
        >>> losses(torch.zeros(3, 2), torch.tensor([0, 1, 0])).shape
        torch.Size([3])
    """

    def __init__(self, loss: Any) -> None:
        if not callable(loss):
            raise ArgumentError(f"loss must be callable, not {loss!r}")
        self.plain_cross_entropy = _is_plain_cross_entropy(loss)
        self.name = getattr(loss, "__name__", type(loss).__name__)
        self._loss = _unreduced(loss, self.name)
        self._checked = False

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Compute the loss of each row.

        Args:
            outputs: `[n, ...]`: what the model gave.
            targets: `[n, ...]`.

        Returns:
            `[n]`, with its graph.

        Raises:
            ArgumentError: The loss gives something else than a value for each row.
        """
        losses = self._loss(outputs, targets)
        if losses.ndim == 1 and losses.shape[0] == outputs.shape[0]:
            return losses
        if losses.ndim == 0:
            raise ArgumentError(
                f"loss: {self.name} gives one number for a batch of {len(outputs)} rows, so the "
                'weights of the rows would be lost; give it with reduction="none", one value a row'
            )
        if losses.shape[0] != outputs.shape[0]:
            raise ArgumentError(
                f"loss: {self.name} gives a tensor of shape {tuple(losses.shape)} for "
                f"{len(outputs)} rows; one value a row is needed"
            )
        return losses.flatten(1).mean(dim=1)

    def mean(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Compute the mean over the rows, by torch's own reduction where that is the same.

        Args:
            outputs: `[n, ...]`.
            targets: `[n, ...]`.

        Returns:
            A scalar, with its graph.

        Raises:
            ArgumentError: The loss gives something else than a value for each row.
        """
        if self.plain_cross_entropy and outputs.ndim == 2:
            # One node of the graph in place of three: what a loop written by hand has.
            return functional.cross_entropy(outputs, targets)
        return batch_loss(self(outputs, targets), None)


def _unreduced(loss: Any, name: str) -> Loss:
    if isinstance(loss, nn.Module) and hasattr(loss, "reduction"):
        _require_mean(name, loss.reduction, getattr(loss, "weight", None))
        changed: Any = copy.copy(loss)
        changed.reduction = "none"
        return changed  # type: ignore[no-any-return]
    parameter = _reduction_parameter(loss)
    if parameter is not None:
        _require_mean(name, parameter.default, None)

        def each(outputs: Tensor, targets: Tensor) -> Tensor:
            values: Tensor = loss(outputs, targets, reduction="none")
            return values

        return each
    return loss  # type: ignore[no-any-return]


def _require_mean(name: str, reduction: Any, class_weights: Any) -> None:
    """Refuse reductions whose mean over rows is not the mean of what the rows give."""
    if reduction == "none":
        return
    if reduction != "mean":
        raise ArgumentError(
            f"loss: {name} has reduction={reduction!r}, in which the weights of the rows would be "
            'lost; give it with reduction="none": batches are averaged'
        )
    if class_weights is not None:
        raise ArgumentError(
            f"loss: {name} has class weights and reduction='mean', which divides by the weights of "
            'each batch\'s classes; give it with reduction="none": weighted losses are averaged '
            "over rows"
        )


def _reduction_parameter(loss: Any) -> inspect.Parameter | None:
    try:
        return inspect.signature(loss).parameters.get("reduction")
    except (TypeError, ValueError):  # built-ins without a signature
        return None


def _is_plain_cross_entropy(loss: Any) -> bool:
    if loss is functional.cross_entropy:
        return True
    return (
        type(loss) is nn.CrossEntropyLoss
        and loss.weight is None
        and loss.label_smoothing == 0
        and loss.ignore_index < 0
    )


def batch_loss(losses: Tensor, weights: Tensor | None) -> Tensor:
    """Average the losses of a batch with their weights.

    Args:
        losses: `[b]`.
        weights: `[b]`, of mean 1 over an epoch; None for ones.

    Returns:
        The mean of weight × loss, in at least single precision.
    """
    losses = losses if losses.dtype == torch.float64 else losses.float()
    return losses.mean() if weights is None else (losses * weights).mean()
