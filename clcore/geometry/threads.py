"""How many threads a loop of small steps gets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

SMALL_STEP = 10_000_000
"""Multiplications a step below which a second thread costs more than it brings (measured)."""


@contextmanager
def step_loop(multiplications: int) -> Iterator[None]:
    """Run a loop of dependent small steps on one thread of the CPU.

    A parallel region in each of thousands of short steps waits for the slowest thread each time;
    on a busy machine that is a scheduler slice, up to 16 ms, for a step of 0.2 ms. One thread also
    makes the rounding independent of the machine's cores. Large steps keep the threads they have.

    Args:
        multiplications: What one step does.

    Yields:
        Nothing.
    """
    threads = torch.get_num_threads()
    if threads == 1 or multiplications >= SMALL_STEP:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
