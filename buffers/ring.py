"""Ring buffer: the last rows of each class (or task), first in, first out.

Source: Lopez-Paz and Ranzato 2017, "Gradient Episodic Memory" (the last m rows of each task), and
Chaudhry et al. 2019, "On Tiny Episodic Memories in Continual Learning", section 4.1 (M/C slots for
each class). Deterministic, no model, and no group can vanish.

What the papers leave open is stated by options:

- `groups="class"` (Chaudhry) or `"task"` (Lopez-Paz; Mammoth).
- `total_groups=None`: quotas follow from the groups seen so far, M / G, and fall when a new group
  comes. A number fixes them in advance at M / total_groups; a further group is an error.
- `lend=True`: what a group does not use is lent to the others, so the memory is filled as soon as
  it can be. While a slot is free every row is stored; then a row of a group that has at least two
  fewer than the largest takes the slot of the largest group's oldest row, any other row takes that
  of its own group's oldest. Every group ends with an even share, whether or not the number of
  groups was known, so `total_groups` then only guards against more of them.
- `lend=False`: no group ever has more than its quota, as in the papers: slots of groups not seen
  yet, or too small for their quota, stay empty. What M / G leaves over goes to the first groups.

Where several groups are the largest the one with the lowest label pays. Shrinking the budget keeps
the newest rows of each group. The memory after a stream does not depend on how the stream was cut
into batches.

A group always holds its newest m rows, so a batch is written at once when the m are known; those
change only while the memory fills and when a group is new.

Expected: Chaudhry et al. report it ahead of a reservoir at 1 to 3 exemplars a class and behind at
13. See `docs/benchmarks.md`.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from buffers.balanced_reservoir import slots_of
from buffers.base import Buffer
from buffers.incoming import Incoming, Transform
from buffers.store import ExemplarStore
from clcore.checks import whole_number
from clcore.errors import ArgumentError, FormatError
from clcore.quotas import fair_shares


class RingBuffer(Buffer):
    """Keeps the newest rows of each group.

    Args:
        max_size: Budget in exemplars; the arguments not listed are those of every buffer
            (`Memory`).
        groups: What has a ring of its own: each `"class"` or each `"task"`.
        total_groups: How many groups there will be; None if that isn't known.
        lend: Whether a group may use what the others don't.

    Example:
        >>> buffer = RingBuffer(6)
        >>> _ = buffer.add(torch.arange(8.0).view(8, 1), torch.tensor([0, 0, 0, 0, 0, 1, 1, 1]))
        >>> buffer.all().x.view(-1).sort().values
        tensor([2., 3., 4., 5., 6., 7.])

    Raises:
        ArgumentError: An option is not one of those allowed, or there are more groups than slots.
    """

    def __init__(
        self,
        max_size: int | None = None,
        *,
        groups: Literal["class", "task"] = "class",
        total_groups: int | None = None,
        lend: bool = True,
        max_bytes: int | None = None,
        seed: int = 0,
        device: str | torch.device = "cpu",
        transform: Transform | None = None,
    ) -> None:
        super().__init__(
            max_size, max_bytes=max_bytes, seed=seed, device=device, transform=transform
        )
        if groups not in ("class", "task"):
            raise ArgumentError(f"groups: got {groups!r}; 'class' or 'task' is needed")
        if total_groups is not None:
            total_groups = whole_number("total_groups", total_groups, least=1)
            if max_size is not None and total_groups > max_size:
                raise ArgumentError(
                    f"total_groups: got {total_groups}, more than the {max_size} exemplars"
                )
        self.groups, self.total_groups, self.lend = groups, total_groups, lend
        self._known: list[int] = []  # groups in the order in which they came
        self._rings: dict[int, deque[int]] = {}  # slots of each group, the oldest first
        self._rings_of: tuple[ExemplarStore, int] | None = None

    def _admit(self, incoming: Incoming) -> Tensor:
        labels = (incoming.y if self.groups == "class" else incoming.task).tolist()
        known = list(dict.fromkeys([*self._known, *labels]))
        if self.total_groups is not None and len(known) > self.total_groups:
            raise ArgumentError(
                f"{self.groups}: {known[self.total_groups]} is one more than the "
                f"{self.total_groups} groups announced by total_groups"
            )
        store, rings = self.store, self._current_rings()
        self._known = known
        sizes = self._lent_sizes(labels, rings) if self.lend else self._quota_sizes(labels, rings)
        rows_of: dict[int, list[int]] = {group: [] for group in known}
        for row, group in enumerate(labels):
            rows_of[group].append(row)
        freed: list[int] = []
        entering: list[tuple[int, list[int]]] = []
        for group in known:
            ring, size = rings.setdefault(group, deque()), sizes[group]
            rows = rows_of[group][-size:] if size else []
            freed += [ring.popleft() for _ in range(len(ring) + len(rows) - size)]
            entering.append((group, rows))
        places = [*freed, *range(store.size, store.capacity)]
        held: dict[int, int] = {}
        for group, rows in entering:
            slots = places[len(held) : len(held) + len(rows)]
            rings[group].extend(slots)
            held.update(zip(slots, rows, strict=True))
        if len(freed) > len(held):
            return self._close_gaps(set(freed[len(held) :]), held, len(labels))
        self._rings_of = (store, store.version + (1 if held else 0))
        return slots_of(held, len(labels))

    def _lent_sizes(self, labels: list[int], rings: dict[int, deque[int]]) -> dict[int, int]:
        """Exemplars of each group after the batch, if unused quota is lent."""
        sizes = {group: len(rings.get(group, ())) for group in self._known}
        free = self.store.capacity - sum(sizes.values())
        most = max(sizes.values())
        if free == 0 and all(sizes[group] + 2 > most for group in set(labels)):
            return sizes
        for group in labels:
            if free:
                free -= 1
                sizes[group] += 1
                most = max(most, sizes[group])
            elif sizes[group] + 2 <= most:
                largest = min(other for other, size in sizes.items() if size == most)
                sizes[largest] -= 1
                sizes[group] += 1
                most = max(sizes.values())
        return sizes

    def _quota_sizes(self, labels: list[int], rings: dict[int, deque[int]]) -> dict[int, int]:
        """Exemplars of each group after the batch, if each has its quota and no more."""
        capacity = self.store.capacity
        among = len(self._known) if self.total_groups is None else self.total_groups
        quotas = fair_shares(capacity, [capacity] * among)
        offered = Counter(labels)
        return {
            group: min(quota, len(rings.get(group, ())) + offered[group])
            for group, quota in zip(self._known, quotas, strict=False)
        }

    def _close_gaps(self, gaps: set[int], held: dict[int, int], n: int) -> Tensor:
        """Drop slots that nothing enters; the rows behind them move up."""
        store = self.store
        staying = [slot for slot in range(store.size) if slot not in gaps]
        self.replaced += len(gaps)
        store.reorder(torch.tensor(staying, dtype=torch.int64))
        moved = {slot: place for place, slot in enumerate(staying)}
        for ring in self._rings.values():
            for _ in range(len(ring)):
                ring.append(moved[ring.popleft()])
        self._rings_of = (store, store.version + (1 if held else 0))
        return slots_of({moved[slot]: row for slot, row in held.items()}, n)

    def _current_rings(self) -> dict[int, deque[int]]:
        store = self.store
        if self._rings_of != (store, store.version):
            self._rings = {group: deque() for group in self._known}
            labels = (store.y if self.groups == "class" else store.task).tolist()
            for slot in store.born.argsort().tolist():
                self._rings.setdefault(labels[slot], deque()).append(slot)
            self._rings_of = (store, store.version)
        return self._rings

    def _keep_when_shrinking(self, new_size: int) -> Tensor:
        rings = {group: ring for group, ring in self._current_rings().items() if ring}
        if self.lend:
            shares = fair_shares(new_size, [len(ring) for ring in rings.values()])
        else:
            among = len(self._known) if self.total_groups is None else self.total_groups
            quotas = dict(zip(self._known, fair_shares(new_size, [new_size] * among), strict=False))
            shares = [quotas[group] for group in rings]
        kept = [
            slot
            for ring, share in zip(rings.values(), shares, strict=True)
            for slot in list(ring)[max(0, len(ring) - share) :]
        ]
        return torch.tensor(sorted(kept), dtype=torch.int64)

    def _rule_state(self) -> dict[str, Any]:
        return {"known": torch.tensor(self._known, dtype=torch.int64), "groups": self.groups}

    def _load_rule_state(self, state: Mapping[str, Any]) -> None:
        if state["groups"] != self.groups:
            raise FormatError(
                f"the saved ring has groups={state['groups']!r}, this one groups={self.groups!r}"
            )
        self._known = state["known"].tolist()
        self._rings_of = None
