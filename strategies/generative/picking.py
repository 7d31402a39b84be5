"""Picks from a pool of vectors by any selector of the engine: what latents and batches share."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from clcore.checks import as_tensor, require_finite
from clcore.errors import ArgumentError
from clcore.pool import Pool
from clcore.selection import ready_selector
from clcore.selector import Selector

SMALL = 2**20
"""Numbers up to which a pool on a GPU is chosen from on the CPU: a greedy method launches several
kernels a pick, which take longer than the copy."""


def pool_size(count: int, factor: float) -> int:
    """Say how many candidates a batch is chosen from.

    Args:
        count: Size of the batch.
        factor: How many times as many candidates; at least 1.

    Returns:
        `round(factor * count)`.

    Raises:
        ArgumentError: If the factor is not a finite number of at least 1.

    Example:
        >>> pool_size(64, 8), pool_size(3, 1.5)
        (512, 4)
    """
    if isinstance(factor, bool) or not isinstance(factor, int | float):
        raise ArgumentError(f"factor must be a number of at least 1, not {factor!r}")
    if not 1 <= factor < math.inf:
        raise ArgumentError(
            f"factor must be a finite number of at least 1, not {factor!r}: the batch is chosen "
            "from factor times as many candidates, and would be larger than that pool"
        )
    return round(factor * count)


def batch_selector(selector: str | Selector) -> Selector:
    """Take a selector for batches: a name or a selector that reads features alone.

    Args:
        selector: For example `"k-center"` or `KernelHerding(bandwidth=1.0)`.

    Returns:
        The selector.

    Raises:
        UnknownNameError: If there is no such name.
        ArgumentError: If it needs other signals than features, or may return too few picks.
    """
    method = ready_selector(selector, {})
    others = [name for name in method.signals if name != "features"]
    if others:
        raise ArgumentError(
            f"selector: {method.name} reads the signal {others[0]!r}, and a batch is chosen by "
            "vectors alone; take one that reads features, such as 'k-center' or 'kernel-herding'"
        )
    if method.stops_early:
        raise ArgumentError(
            f"selector: {method.name} may stop before the batch is full; choose one without a "
            "radius or another rule to stop by"
        )
    return method


def pick(
    vectors: Tensor,
    count: int,
    method: Selector,
    seed: int,
    *,
    labels: Tensor | None = None,
) -> Tensor:
    """Pick rows.

    Args:
        vectors: Floating-point `[n, ...]`, finite.
        count: How many; no more than n.
        method: What picks.
        seed: Of the method's randomness, where it has any.
        labels: int64 `[n]` for methods that go by labels; or None.

    Returns:
        int64 `[count]` on the device of the vectors, in pick order.
    """
    if count == len(vectors):
        return torch.arange(count, device=vectors.device)
    generator = torch.Generator().manual_seed(seed)
    features = vectors.cpu() if vectors.numel() <= SMALL else vectors
    pool = Pool(features=features, labels=labels)
    return method.select(pool, count, generator=generator).indices.to(vectors.device)


def vectors_of(name: str, values: Any) -> Tensor:
    """Read vectors, one a row.

    Args:
        name: What they are, for the message.
        values: Tensor or array `[n, ...]`.

    Returns:
        Floating-point `[n, ...]`, detached.

    Raises:
        ArgumentError: If they are not at least one row of numbers.
        SignalError: If they hold NaN or infinity.
    """
    tensor = as_tensor(name, values).detach()
    if tensor.ndim < 2 or tensor.shape[0] == 0 or not tensor.is_floating_point():
        raise ArgumentError(
            f"{name} must be floating-point numbers [n, d], one row a sample and at least one, not "
            f"{tensor.dtype} of shape {tuple(tensor.shape)}"
        )
    require_finite(name, tensor)
    return tensor
