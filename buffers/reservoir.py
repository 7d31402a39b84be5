"""Reservoir sampling: every row seen is held with the same probability.

Source: Vitter 1985, "Random Sampling with a Reservoir", algorithm R. Row number n (from 0) is
stored if a slot is free; else a number j is drawn uniformly from {0, …, n} and slot j is
overwritten if j < M. After n rows each is in memory with probability M/n.

Vectorised: all j of a batch are drawn at once, each with its own n; where two rows of a batch
fall on one slot the later one wins, exactly as if they had come one after the other. The cost
depends on the rows offered, not on the memory's size.

Growing the budget admits rows until the memory is full again and goes on from there: the rows of
that moment are then over-represented, since what was passed over before is gone.

Differs from common codes: the count is taken before the row (some draw j from {0, …, n − 1}, which
admits too many), and per row (some use one n for the whole batch).

Expected: Split Fashion-MNIST (the suite `split-fmnist-er`), 200 / 500 / 1000 exemplars: see
`docs/benchmarks.md`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from buffers.base import Buffer
from buffers.incoming import Incoming


class ReservoirBuffer(Buffer):
    """Keeps a uniform sample of the stream.

    Args:
        max_size: Budget in exemplars; the other arguments are those of every buffer (`Memory`).

    Example:
        >>> buffer = ReservoirBuffer(100, seed=0)
        >>> _ = buffer.add(torch.rand(500, 8), torch.arange(500) % 5)
        >>> len(buffer), len(buffer.sample(10))
        (100, 10)
    """

    def _admit(self, incoming: Incoming) -> Tensor:
        store = self.store
        size, capacity, n = store.size, store.capacity, len(incoming)
        free = min(n, capacity - size)
        slots = [*range(size, size + free), *[-1] * (n - free)]
        draws = algorithm_r(self.seen + free, n - free, capacity, self.generator)
        for slot, row in draws.items():
            if slot >= size and free:  # overwrites one that has just filled its slot
                slots[slot - size] = -1
            slots[row + free] = slot
        return torch.tensor(slots)


# Up to this many rows plain Python numbers are quicker than five tensor operations.
_FEW = 64


def algorithm_r(seen: int, n: int, capacity: int, generator: torch.Generator) -> dict[int, int]:
    """Draw which of the next rows enter a full reservoir.

    Args:
        seen: Rows before them.
        n: Number of rows.
        capacity: Size of the reservoir.
        generator: Source of randomness.

    Returns:
        Slot → row (0 … n − 1), the later row where two fall on one slot.
    """
    # Double precision: 24 random bits would not reach every slot of a long stream.
    uniform = torch.rand(n, dtype=torch.float64, generator=generator)
    if n <= _FEW:
        drawn = [int(u * (seen + row + 1)) for row, u in enumerate(uniform.tolist())]
        return {slot: row for row, slot in enumerate(drawn) if slot < capacity}
    slots = (uniform * torch.arange(seen + 1, seen + n + 1)).long()
    rows = torch.nonzero(slots < capacity).view(-1)
    return dict(zip(slots[rows].tolist(), rows.tolist(), strict=True))
