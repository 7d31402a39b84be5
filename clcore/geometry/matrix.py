"""Signals as matrices that the kernels can run over."""

from __future__ import annotations

import torch
from torch import Tensor


def as_matrix(signal: Tensor) -> Tensor:
    """Bring a signal into the form that the kernels want.

    Args:
        signal: `[n, ...]` of any number type.

    Returns:
        Contiguous `[n, d]`: float64 stays, everything else becomes float32; further dimensions
        are flattened, and a signal with one number a row gets `d = 1`.
    """
    matrix = signal.reshape(len(signal), -1) if len(signal) else signal.reshape(0, 1)
    kind = torch.float64 if signal.dtype == torch.float64 else torch.float32
    return matrix.to(kind).contiguous()


def normalised(matrix: Tensor) -> Tensor:
    """Scale each row to Euclidean length 1; a row of zeros stays zero.

    Args:
        matrix: Floating-point `[n, d]`.

    Returns:
        A new `[n, d]`.
    """
    lengths = torch.linalg.vector_norm(matrix, dim=1, keepdim=True)
    return matrix / torch.where(lengths > 0, lengths, torch.ones_like(lengths))
