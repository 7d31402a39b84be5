"""Uniform retrieval: every exemplar equally likely, none twice in a batch.

Source: experience replay as in Chaudhry et al. 2019, "On Tiny Episodic Memories in Continual
Learning", algorithm 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from buffers.retrieval import Retrieval

if TYPE_CHECKING:
    from buffers.memory import Memory


class Uniform(Retrieval):
    """Draws rows uniformly without replacement."""

    def draw(self, memory: Memory, n: int, **context: Any) -> Tensor:
        """See `Retrieval.draw`."""
        return distinct(len(memory), n, memory.generator)


def distinct(size: int, n: int, generator: torch.Generator) -> Tensor:
    """Draw `min(n, size)` distinct numbers below `size`, uniformly.

    A shuffle of the whole costs O(size). When few are wanted, drawing with replacement and
    starting over on a repeat gives the same distribution for less.
    """
    if 2 * n * n <= size:
        while True:
            rows = torch.randint(size, (n,), generator=generator)
            if len(set(rows.tolist())) == n:
                return rows
    return torch.randperm(size, generator=generator)[:n]
