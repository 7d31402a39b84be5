"""How a model is called, and what its loss is, one value a sample."""

from __future__ import annotations

import copy
import inspect
import weakref
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from clcore.errors import ArgumentError
from clcore.probe.closed_forms import require_classes

Loss = Callable[[Tensor, Tensor], Tensor]
Forward = Callable[[nn.Module, Tensor, Tensor | None], Tensor]


# Where a model takes functions of others, it may run code that is not torch's.
_OWN_CODE = "torch.nn.modules."
_OTHERS_CODE = "torch.nn.modules.transformer"


def runs_torch_alone(model: nn.Module) -> bool:
    """Say whether it is sure that a model runs torch's code alone, its layers and no hooks."""
    if torch.nn.modules.module._has_any_global_hook():  # type: ignore[no-untyped-call]
        return False
    for module in model.modules():
        kind = type(module).__module__
        if not kind.startswith(_OWN_CODE) or kind == _OTHERS_CODE or "forward" in module.__dict__:
            return False
        if (
            module._forward_hooks
            or module._forward_pre_hooks
            or module._backward_hooks
            or module._backward_pre_hooks
        ):
            return False
    return True


# Reading a signature takes as long as a small layer; a method's is that of its function.
_second: weakref.WeakKeyDictionary[Any, inspect.Parameter | None] = weakref.WeakKeyDictionary()


def _second_argument(method: Callable[..., Any]) -> inspect.Parameter | None:
    function = getattr(method, "__func__", None)
    if function is None:
        return _read_second_argument(method)
    if function not in _second:
        _second[function] = _read_second_argument(method)
    return _second[function]


def _read_second_argument(function: Callable[..., Any]) -> inspect.Parameter | None:
    parameters = list(inspect.signature(function).parameters.values())
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return positional[1] if len(positional) > 1 else None


def call_model(model: nn.Module, x: Tensor, task: Tensor | None) -> Any:
    """Call a model, with tasks where its `forward` takes them."""
    second = _second_argument(model.forward)
    takes_task = second is not None and (second.default is second.empty or "task" in second.name)
    if task is not None and takes_task:
        return model(x, task)
    if second is not None and second.default is second.empty:
        raise ArgumentError(
            f"the model's forward needs {second.name!r} beside the data: give task=, or forward="
        )
    return model(x)


def unreduced(loss: Loss | None) -> Loss:
    """Return the loss that gives one value a sample."""
    if loss is None:
        return cross_entropy
    if isinstance(loss, nn.Module) and hasattr(loss, "reduction"):
        changed: Any = copy.copy(loss)
        changed.reduction = "none"
        return cast(Loss, changed)
    return loss


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of each sample, with labels checked."""
    require_classes(labels, logits.shape[1] if logits.ndim > 1 else 0)
    return functional.cross_entropy(logits, labels, reduction="none")


def sample_losses(loss: Loss, logits: Tensor, labels: Tensor) -> Tensor:
    """Compute the loss of each sample.

    Args:
        loss: An unreduced loss.
        logits: `[n, ...]`.
        labels: `[n]`, on the same device.

    Returns:
        `[n]`, with its graph; further dimensions are averaged.

    Raises:
        ArgumentError: If the loss doesn't give a value for each sample.
    """
    values = loss(logits, labels)
    if not isinstance(values, Tensor) or values.shape[:1] != logits.shape[:1]:
        raise ArgumentError(
            f"loss must give one value for each of {len(logits)} samples, not "
            f"{tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__}"
        )
    # Not reshape(n, -1), which no samples would leave ambiguous.
    return values.flatten(1).mean(dim=1) if values.ndim > 1 else values


def loss_gradients(loss: Loss, logits: Tensor, labels: Tensor) -> Tensor:
    """Differentiate the sum of the samples' losses for the logits.

    Args:
        loss: An unreduced loss.
        logits: `[n, ...]`.
        labels: `[n]`, on the same device.

    Returns:
        `[n, ...]`, of the logits' shape.
    """
    with torch.enable_grad():
        leaf = logits.detach().requires_grad_()
        total = sample_losses(loss, leaf, labels).sum()
        (gradients,) = torch.autograd.grad(total, leaf)
    return gradients
