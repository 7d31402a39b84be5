"""A checksum of a data set, quick enough to be taken whenever embeddings of it are used.

Hashed are the length and the x of up to 1,024 rows evenly spaced, with type and shape. Another
order, another split, another normalisation or another size all change it. A row that was replaced
between two of those read doesn't.
"""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from clcore.errors import ArgumentError
from clcore.guard import guard
from clcore.probe.source import size_of

ROWS = 1024
"""The most rows that are read."""


def checksum_of(data: Any) -> str:
    """Compute the checksum of a data set's inputs.

    Random transforms are seeded while rows are read, so they don't change it; the global random
    state is afterwards as before.

    Args:
        data: Tensor `[n, ...]`, or a data set of `x`, `(x, y)` or `(x, y, t)` whose x is a tensor.

    Returns:
        32 hexadecimal digits.

    Raises:
        ArgumentError: If the data has no length, or its x are no tensors.
    """
    size = size_of(data)
    rows = sorted({row * size // ROWS for row in range(ROWS)}) if size > ROWS else range(size)
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with guard(seed=0):
        if isinstance(data, TensorDataset):
            data = data.tensors[0]
        if isinstance(data, Tensor):
            _add(digest, data[torch.as_tensor(list(rows), dtype=torch.int64, device=data.device)])
            return digest.hexdigest()
        for row in rows:
            item = data[row]
            _add(digest, item[0] if isinstance(item, tuple | list) else item, single=True)
    return digest.hexdigest()


def _add(digest: Any, values: object, single: bool = False) -> None:
    if not isinstance(values, Tensor):
        raise ArgumentError(f"the samples' x must be tensors, not {type(values).__name__}")
    block = values.detach().cpu().unsqueeze(0) if single else values.detach().cpu()
    # A tensor and a data set of the same rows are the same data: type and shape once for each row.
    for row in block:
        flat = row.contiguous().reshape(-1).view(torch.uint8) if row.numel() else row.new_empty(0)
        digest.update(f"{row.dtype}{tuple(row.shape)}".encode())
        digest.update(flat.numpy().tobytes())
