"""Which slots hold which class, with a uniform draw from one class at constant cost.

Rules that overwrite "a random member of the largest class" would otherwise search the whole
memory at each row. The order within a class's list decides what a draw hits, so it is part of
the saved state: a reloaded buffer goes on bit for bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from clcore.quotas import fair_shares

if TYPE_CHECKING:
    from buffers.store import ExemplarStore


class Members:
    """The slots of each class.

    Args:
        labels: Class of each slot in use.
        order: Slots, all of them, in the order in which the classes list them; ascending if None.

    Attributes:
        slots: The slots of each class that has any.
    """

    def __init__(self, labels: list[int], order: list[int] | None = None) -> None:
        self._label = list(labels)
        self._place = [0] * len(labels)
        self.slots: dict[int, list[int]] = {}
        for slot in range(len(labels)) if order is None else order:
            self._append(slot, labels[slot])

    def __len__(self) -> int:
        return len(self._label)

    def count(self, label: int) -> int:
        """How many slots hold this class."""
        return len(self.slots.get(label, ()))

    def largest(self) -> list[int]:
        """The classes with the most slots, in the order in which they came."""
        most = max(map(len, self.slots.values()))
        return [label for label, slots in self.slots.items() if len(slots) == most]

    def draw(self, label: int, uniform: float) -> int:
        """The slot of a class that a uniform number in [0, 1) hits."""
        slots = self.slots[label]
        return slots[int(uniform * len(slots))]

    def append(self, label: int) -> int:
        """Take the next slot for a class; returns the slot."""
        slot = len(self._label)
        self._label.append(label)
        self._place.append(0)
        self._append(slot, label)
        return slot

    def replace(self, slot: int, label: int) -> None:
        """Give a slot to another class (or to the same one)."""
        old = self._label[slot]
        if old == label:
            return
        slots = self.slots[old]
        last = slots.pop()
        if last != slot:
            place = self._place[slot]
            slots[place] = last
            self._place[last] = place
        if not slots:
            del self.slots[old]
        self._append(slot, label)

    def order(self) -> Tensor:
        """All slots, class after class, `[len]` int64: what `Members` takes to be made again."""
        return torch.tensor([s for slots in self.slots.values() for s in slots], dtype=torch.int64)

    def _append(self, slot: int, label: int) -> None:
        slots = self.slots.setdefault(label, [])
        self._label[slot], self._place[slot] = label, len(slots)
        slots.append(slot)


class MembersCache:
    """Keeps the `Members` of a store between updates, and notices when the store was changed."""

    def __init__(self) -> None:
        self._members: Members | None = None
        self._store: ExemplarStore | None = None
        self._version = -1

    def of(self, store: ExemplarStore) -> Members:
        """The members of the store as it is now."""
        members = self._members
        if members is None or self._store is not store or self._version != store.version:
            members = Members(store.y.tolist())
            self.keep(store, members, store.version)
        return members

    def keep(self, store: ExemplarStore, members: Members, version: int) -> None:
        """Remember members that will be right once the store has this version."""
        self._store, self._members, self._version = store, members, version

    def restore(self, store: ExemplarStore, order: Tensor) -> None:
        """Take back what `Members.order` gave for this store."""
        self.keep(store, Members(store.y.tolist(), order.tolist()), store.version)


def even_share(labels: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Draw rows so that the classes get as equal a number as they can fill.

    Args:
        labels: Class of each row, `[n]` int64, on the CPU.
        size: How many rows to keep, at most n.
        generator: Source of randomness; within a class every row is equally likely.

    Returns:
        `[size]` int64 rows, ascending.
    """
    shuffled = torch.randperm(len(labels), generator=generator)
    classes, counts = torch.unique(labels, return_counts=True)
    shares = fair_shares(size, counts.tolist())
    kept = [
        shuffled[labels[shuffled] == label][:share]
        for label, share in zip(classes.tolist(), shares, strict=True)
    ]
    return torch.cat(kept).sort().values
