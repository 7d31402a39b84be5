"""GDumb's memory: greedy balancing, whoever comes first.

Source: Prabhu, Torr and Dokania 2020, "GDumb: A Simple Approach that Questions Our Progress in
Continual Learning" (ECCV), algorithm 1. While a slot is free each row is stored. Then a row of a
class that has less than an even share of the memory takes the slot of a random exemplar of the
largest class; any other row is passed over.

Defaults: none beyond the budget. "Less than an even share" means at least two exemplars fewer than
the largest class: with the paper's test against M / C, rows would be exchanged for ever where C
does not divide M. Where several classes are the largest one of them is drawn. Shrinking the budget
keeps an equal number of each class, drawn at random.

The memory holds the first rows of each class and hardly changes after. What makes it GDumb is the
training: from nothing, on the memory alone (`strategies.GDumb`).

Expected: see `docs/benchmarks.md`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from buffers.balanced_reservoir import BalancedReservoirBuffer, slots_of
from buffers.incoming import Incoming


class GDumbBuffer(BalancedReservoirBuffer):
    """Stores a row as long as its class has less than an even share of the memory.

    Args:
        max_size: Budget in exemplars; the other arguments are those of every buffer (`Memory`).

    Example:
        >>> buffer = GDumbBuffer(20)
        >>> _ = buffer.add(torch.rand(500, 8), torch.arange(500) % 5)
        >>> buffer.class_counts()
        {0: 4, 1: 4, 2: 4, 3: 4, 4: 4}
    """

    def _admit(self, incoming: Incoming) -> Tensor:
        store = self.store
        n, free = len(incoming), min(len(incoming), store.capacity - store.size)
        members = self._cache.of(store)
        labels = incoming.y.tolist()
        held = {members.append(labels[row]): row for row in range(free)}
        # The size of the largest class never grows from here on, so a class that is no longer
        # short stays so for the rest of the batch.
        short = dict.fromkeys(set(labels), True)
        for row in range(free, n):
            label = labels[row]
            if not short[label]:
                continue
            largest = members.largest()
            if members.count(label) + 2 > members.count(largest[0]):
                short[label] = False
                continue
            which, member = torch.rand(2, dtype=torch.float64, generator=self.generator).tolist()
            slot = members.draw(largest[int(which * len(largest))], member)
            members.replace(slot, label)
            held[slot] = row
        self._cache.keep(store, members, store.version + (1 if held else 0))
        return slots_of(held, n)
