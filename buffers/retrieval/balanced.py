"""Balanced retrieval: as equal a number of each class as the memory allows, none twice.

Every class that is held gets the same share of the batch; what a rare class can't fill goes to
the others, and the odd ones out are given to classes drawn at random. Known as class-balanced
replay (for instance Chrysakis & Moens 2020, section 4.3, weight the replay by class instead).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from buffers.retrieval import Retrieval

if TYPE_CHECKING:
    from buffers.memory import Memory


class Balanced(Retrieval):
    """Draws the same number of each class."""

    def draw(self, memory: Memory, n: int, **context: Any) -> Tensor:
        """See `Retrieval.draw`."""
        y = memory.store.y.cpu()
        order = torch.randperm(len(y), generator=memory.generator)
        classes, of_class = torch.unique(y[order], return_inverse=True)
        # The place of each row within its class, in shuffled order: all first ones come before
        # all second ones, so a prefix is balanced. A random rank of classes breaks the ties.
        by_class = torch.argsort(of_class, stable=True)
        counts = torch.bincount(of_class)
        starts = counts.cumsum(0) - counts
        place = torch.empty_like(of_class)
        place[by_class] = torch.arange(len(y)) - starts[of_class[by_class]]
        rank = torch.randperm(len(classes), generator=memory.generator)[of_class]
        return order[torch.argsort(place * len(classes) + rank)[:n]]
