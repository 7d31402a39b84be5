"""Balanced reservoir sampling (BRS): a reservoir's test at the door, the largest class pays.

Source: Buzzega, Boschini, Porrello and Calderara 2020, "Rethinking Experience Replay: a Bag of
Tricks for Continual Learning", the trick "balanced reservoir sampling". Row number n (from 0) is
stored if a slot is free; else j is drawn uniformly from {0, …, n} and the row is admitted if
j < M. It overwrites a random member of the class that has the most members,

    ŷ = argmax_c |{k : y_k = c}|,   k ~ U{k : y_k = ŷ}.

So the memory turns over as slowly as a reservoir's, but the classes even out: a class that has
fewer than the largest never loses a row.

Defaults: none beyond the budget. Where several classes are the largest one of them is drawn; the
paper's argmax leaves that open, and common codes always take the lowest label, which then has
fewer than its share. Shrinking the budget keeps an equal number of each class, drawn at random.

The test at the door is one vectorised draw a batch; Python steps are taken for the admitted rows
only, about M/n of them.

Expected: Split Fashion-MNIST (the suite `split-fmnist-er`): see `docs/benchmarks.md`. The paper
finds it to matter most for small memories.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from buffers.base import Buffer
from buffers.incoming import Incoming, Transform
from buffers.members import MembersCache, even_share


class BalancedReservoirBuffer(Buffer):
    """Admits as a reservoir does and overwrites a random member of the largest class.

    Args:
        max_size: Budget in exemplars; the other arguments are those of every buffer (`Memory`).

    Example:
        >>> buffer = BalancedReservoirBuffer(100, seed=0)
        >>> _ = buffer.add(torch.rand(2000, 8), (torch.arange(2000) % 10).clamp(max=4))
        >>> max(buffer.class_counts().values())
        20
    """

    def __init__(
        self,
        max_size: int | None = None,
        *,
        max_bytes: int | None = None,
        seed: int = 0,
        device: str | torch.device = "cpu",
        transform: Transform | None = None,
    ) -> None:
        super().__init__(
            max_size, max_bytes=max_bytes, seed=seed, device=device, transform=transform
        )
        self._cache = MembersCache()

    def _admit(self, incoming: Incoming) -> Tensor:
        store = self.store
        n, free = len(incoming), min(len(incoming), store.capacity - store.size)
        # One row of three numbers for each sample, so the cut into batches changes nothing.
        uniform = torch.rand((n - free, 3), dtype=torch.float64, generator=self.generator)
        number = torch.arange(self.seen + free + 1, self.seen + n + 1)
        # u n < M with u n rounded down is u n < M.
        rows = torch.nonzero(uniform[:, 0] * number < store.capacity).view(-1)
        if free == 0 and len(rows) == 0:
            return torch.full((n,), -1)
        members = self._cache.of(store)
        labels = incoming.y.tolist()
        held = {members.append(labels[row]): row for row in range(free)}
        for row, (_, which, member) in zip(rows.tolist(), uniform[rows].tolist(), strict=True):
            largest = members.largest()
            slot = members.draw(largest[int(which * len(largest))], member)
            members.replace(slot, labels[row + free])
            held[slot] = row + free
        self._cache.keep(store, members, store.version + 1)
        return slots_of(held, n)

    def _keep_when_shrinking(self, new_size: int) -> Tensor:
        return even_share(self.store.y.cpu(), new_size, self.generator)

    def _rule_state(self) -> dict[str, Any]:
        return {} if self._store is None else {"order": self._cache.of(self.store).order()}

    def _load_rule_state(self, state: Mapping[str, Any]) -> None:
        if self._store is not None:
            self._cache.restore(self.store, state["order"])


def slots_of(held: Mapping[int, int], n: int) -> Tensor:
    """Turn slot → row into the slot of each of n rows, -1 where there is none.

    Args:
        held: The row of the batch that each slot ends up with.
        n: Rows in the batch.

    Returns:
        `[n]` int64.
    """
    slots = [-1] * n
    for slot, row in held.items():
        slots[row] = slot
    return torch.tensor(slots)
