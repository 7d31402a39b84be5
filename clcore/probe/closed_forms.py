"""What follows from logits, labels and features alone: the gradients of a linear last layer.

For a last layer z = W h + b and a loss ℓ(z, y), the gradient for W is e hᵀ and for b is e, where
e = ∂ℓ/∂z. So the two factors e and h say all, and nothing needs to be multiplied out.
"""

from __future__ import annotations

import torch
from torch import Tensor

from clcore.errors import ArgumentError

_ELEMENTS = 2**22
"""Elements worked on at a time, so that rows of a file are never all in memory."""


def cross_entropy_gradients(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute e = softmax(z) − onehot(y), the gradient of cross-entropy for the logits.

    Args:
        logits: `[n, C]`.
        labels: int64 `[n]`, from 0 to C − 1.

    Returns:
        Floating-point `[n, C]`, at least float32.

    Raises:
        ArgumentError: If a label is out of range.
    """
    require_classes(labels, logits.shape[1])
    dtype = real_type(logits)
    gradients = torch.empty(logits.shape, dtype=dtype, device=logits.device)
    rows = max(1, _ELEMENTS // max(1, logits.shape[1]))
    for start in range(0, len(logits), rows):
        part = slice(start, start + rows)
        torch.softmax(logits[part].to(dtype), dim=1, out=gradients[part])
    gradients.scatter_add_(1, labels.unsqueeze(1), -torch.ones_like(gradients[:, :1]))
    return gradients


def last_layer_norms(errors: Tensor, features: Tensor) -> Tensor:
    """Compute ‖e‖·√(1 + ‖h‖²), the length of the gradient for a last layer and its bias.

    Args:
        errors: `[n, ...]`: gradient of the loss for the logits.
        features: `[n, ...]`: what goes into the last layer; flattened.

    Returns:
        Floating-point `[n]`, at least float32.
    """
    lengths = torch.hypot(_row_norms(features), torch.ones((), device=features.device))
    return _row_norms(errors) * lengths


def require_classes(labels: Tensor, classes: int) -> None:
    """Refuse labels that are not classes.

    Args:
        labels: int64 `[n]`.
        classes: How many there are.

    Raises:
        ArgumentError: Naming the first label out of range.
    """
    wrong = (labels < 0) | (labels >= classes)
    if bool(wrong.any()):
        raise ArgumentError(
            f"labels must be from 0 to {classes - 1}, as there are {classes} outputs; "
            f"found {labels[wrong][0].item()}"
        )


def real_type(values: Tensor) -> torch.dtype:
    """Return float64 for float64, else float32: half precision overflows when squared."""
    return torch.float64 if values.dtype is torch.float64 else torch.float32


def _row_norms(values: Tensor) -> Tensor:
    flat = values.reshape(len(values), -1) if len(values) else values.reshape(0, 1)
    dtype = real_type(values)
    flat = flat if flat.is_floating_point() else flat.to(dtype)
    norms: Tensor = torch.linalg.vector_norm(flat, dim=1, dtype=dtype)
    return norms
