"""Class-balancing reservoir sampling (CBRS): balanced where it can be, fair to all rows of a class.

Source: Chrysakis and Moens 2020, "Online Continual Learning from Imbalanced Data", algorithm 1.
While a slot is free a row is stored. Afterwards a row of class c

- is always admitted if c is not *full*, and overwrites a random member of the largest class;
- is admitted with probability m_c / n_c if c is full, and overwrites a random member of its own
  class; m_c are its members in memory, n_c its rows seen so far, this one included.

A class is full once it has been the largest (or one of several) of a filled memory, for good. The
members of a full class are therefore a uniform sample of all rows of that class.

Defaults: none beyond the budget. The paper counts a class as full if it "has been" the largest; we
look from the moment the memory is filled on, since the very first row would otherwise make its
class full for ever. Where several classes are the largest the one that pays is drawn. Shrinking the
budget keeps an equal number of each class, drawn at random; growing it admits rows until the memory
is filled again.

The number of members of a full class never grows, so u ≤ m_c / n_c with m_c of the batch's begin is
one vectorised test that loses no row; Python steps are taken for the rows that pass it and for
those of classes that are not full, and test again with the m_c of their moment.

Expected: on balanced streams like a reservoir; on imbalanced ones every class keeps its share.
See `docs/benchmarks.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from buffers.balanced_reservoir import slots_of
from buffers.base import Buffer
from buffers.incoming import Incoming, Transform
from buffers.members import Members, MembersCache, even_share
from clcore.errors import FormatError


class ClassBalancingReservoirBuffer(Buffer):
    """Evens out the classes and keeps a uniform sample of each.

    Args:
        max_size: Budget in exemplars; the other arguments are those of every buffer (`Memory`).

    Example:
        >>> buffer = ClassBalancingReservoirBuffer(100, seed=0)
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
        self._seen_of: dict[int, int] = {}
        self._full: set[int] = set()

    def _admit(self, incoming: Incoming) -> Tensor:
        store = self.store
        n, free = len(incoming), min(len(incoming), store.capacity - store.size)
        members = self._cache.of(store)
        labels = incoming.y.numpy()
        held = {members.append(int(labels[row])): row for row in range(free)}
        if free:
            self._mark_full(members)
        # One row of three numbers for each sample, so the cut into batches changes nothing.
        uniform = torch.rand((n, 3), dtype=torch.float64, generator=self.generator).numpy()
        classes, of_class = np.unique(labels, return_inverse=True)
        number = self._count(classes.tolist(), of_class)
        # Only of full classes can rows be turned away; see above why this test loses none.
        bound = [
            members.count(label) if label in self._full else np.inf for label in classes.tolist()
        ]
        possible = uniform[:, 0] * number <= np.array(bound)[of_class]
        possible[:free] = False
        for row in np.flatnonzero(possible).tolist():
            label = int(labels[row])
            test, which, member = uniform[row]
            if label in self._full:
                if test * number[row] > members.count(label):
                    continue
                victim = label
            else:
                largest = members.largest()
                victim = largest[int(which * len(largest))]
            if members.count(victim) == 0:
                continue  # a full class that has lost its last member to the others
            slot = members.draw(victim, member)
            members.replace(slot, label)
            held[slot] = row
            if victim != label:
                self._mark_full(members)
        self._cache.keep(store, members, store.version + (1 if held else 0))
        return slots_of(held, n)

    def _mark_full(self, members: Members) -> None:
        if len(members) == self.store.capacity:
            self._full.update(members.largest())

    def _count(self, classes: list[int], of_class: NDArray[np.int64]) -> NDArray[np.int64]:
        """Count the rows; returns how many of its class each one is, from 1, over the stream."""
        counts = np.bincount(of_class)
        by_class = np.argsort(of_class, kind="stable")
        number = np.empty_like(of_class)
        number[by_class] = np.arange(1, len(of_class) + 1) - np.repeat(
            counts.cumsum() - counts, counts
        )
        before = np.array([self._seen_of.get(label, 0) for label in classes])
        number += before[of_class]
        self._seen_of.update(zip(classes, (before + counts).tolist(), strict=True))
        return number

    def _keep_when_shrinking(self, new_size: int) -> Tensor:
        return even_share(self.store.y.cpu(), new_size, self.generator)

    def _rule_state(self) -> dict[str, Any]:
        classes = sorted(self._seen_of)
        state = {
            "classes": torch.tensor(classes, dtype=torch.int64),
            "seen_of": torch.tensor([self._seen_of[c] for c in classes], dtype=torch.int64),
            "full": torch.tensor(sorted(self._full), dtype=torch.int64),
        }
        if self._store is not None:
            state["order"] = self._cache.of(self.store).order()
        return state

    def _load_rule_state(self, state: Mapping[str, Any]) -> None:
        if len(state["classes"]) != len(state["seen_of"]):
            raise FormatError("the saved buffer's classes and their counts differ in number")
        self._seen_of = dict(zip(state["classes"].tolist(), state["seen_of"].tolist(), strict=True))
        self._full = set(state["full"].tolist())
        if self._store is not None:
            self._cache.restore(self.store, state["order"])
