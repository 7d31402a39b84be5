"""The selectors that batches are chosen by, under the names that tables show."""

from __future__ import annotations

import time
from collections.abc import Callable

from torch import Tensor

from clcore.errors import ArgumentError
from clcore.geometry.kernel_herds import median_distance
from clcore.selector import Selector
from clcore.selectors import registry
from strategies.generative.picking import pick

Candidate = Callable[[Tensor], Selector]
"""Makes the selector for a pool of vectors, `[n, d]`."""


def fixed(name: str, **options: object) -> Candidate:
    """A selector that is the same for all pools."""
    selector = registry.create(name, **options)
    return lambda vectors: selector


def times_median(factor: float) -> Candidate:
    """Kernel herding with a bandwidth of so many times the median distance between rows."""
    return lambda vectors: registry.create(
        "kernel-herding", bandwidth=factor * median_distance(vectors)
    )


def choose(candidate: Candidate, pool: Tensor, count: int, seed: int) -> tuple[Tensor, float]:
    """Choose from a pool.

    Args:
        candidate: By what.
        pool: float32 `[n, d]`.
        count: How many.
        seed: Of the selector's randomness.

    Returns:
        The rows, int64 `[count]`, and processor seconds of the selection alone.
    """
    selector = candidate(pool)
    started = time.process_time()
    picks = pick(pool, count, selector, seed)
    return picks, time.process_time() - started


def check_sizes(batch_size: int, pool_size: int) -> None:
    """Refuse pools from which nothing is chosen.

    Raises:
        ArgumentError: The pool is not larger than the batch.
    """
    if pool_size <= batch_size:
        raise ArgumentError(
            f"pool_size: must be above batch_size, {batch_size}, not {pool_size}: else there is "
            "nothing to choose"
        )
