"""How many picks each label or group may have, and who is still open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from clcore.checks import whole_number
from clcore.errors import ArgumentError


def fair_shares(total: int, capacities: Sequence[int]) -> list[int]:
    """Share out a total as evenly as capacities allow (water filling).

    What one party cannot take goes to the others; what cannot be divided goes to the first ones.

    Args:
        total: How much there is.
        capacities: The most that each party can take.

    Returns:
        One share a party, none beyond its capacity; they sum to
        `min(total, sum(capacities))`, and two shares differ by more than one only where the
        smaller has reached its capacity.

    Raises:
        ArgumentError: If the total or a capacity is negative or no whole number.

    Example:
        >>> fair_shares(10, [2, 9, 9])
        [2, 4, 4]
    """
    total = whole_number("total", total)
    room = [whole_number("capacities", capacity) for capacity in capacities]
    shares = [0] * len(room)
    rest = min(total, sum(room))
    # Serve the smallest first: each takes its all, or an even part of what is left.
    waiting = sorted(range(len(room)), key=room.__getitem__)
    while waiting and room[waiting[0]] <= rest // len(waiting):
        party = waiting.pop(0)
        shares[party] = room[party]
        rest -= room[party]
    if not waiting:
        return shares
    level, surplus = divmod(rest, len(waiting))
    for place, party in enumerate(sorted(waiting)):
        shares[party] = level + (place < surplus)
    return shares


class Allowance:
    """Which rows may still be picked: neither given, nor picked, nor of a used-up quota.

    Selectors add `penalty` to their scores before taking the best, and report each pick with
    `take`; or they rank all rows and ask for `first`.

    Args:
        rows: Size of the pool.
        device: Where the pool lies.
        given: int64 `[g]`: rows that are taken already. They do not use up quotas.
        keys: int64 `[rows]`: the label or group of each row; needed with quotas.
        quotas: The most picks for each key. A key that is not named is not bounded.

    Attributes:
        penalty: float32 `[rows]`: 0 where a row may be picked, minus infinity where not; changed
            in place by `take`.
        keys: int64 `[rows]` or None.
    """

    def __init__(
        self,
        rows: int,
        device: torch.device,
        *,
        given: Tensor | None = None,
        keys: Tensor | None = None,
        quotas: Mapping[int, int] | None = None,
    ) -> None:
        self.keys = keys if quotas is not None else None
        self.penalty = torch.zeros(rows, device=device)
        self._left: dict[int, int] = dict(quotas or {})
        if given is not None and len(given):
            self.penalty[given] = -torch.inf
        for key, quota in self._left.items():
            if quota == 0:
                self._close(key)

    @property
    def open(self) -> Tensor:
        """Which rows may be picked now: bool `[rows]`."""
        return self.penalty == 0

    def capacity(self, rows: Tensor | None = None) -> int:
        """Count how many picks are possible in all.

        Args:
            rows: int64 `[m]`: count among these rows only.

        Returns:
            The largest number of rows that can be picked without breaking a quota.
        """
        is_open = self.open if rows is None else self.open[rows]
        if self.keys is None:
            return int(is_open.sum())
        keys = (self.keys if rows is None else self.keys[rows])[is_open]
        found, counts = torch.unique(keys, return_counts=True)
        pairs = zip(found.tolist(), counts.tolist(), strict=True)
        return sum(min(count, self._left.get(key, count)) for key, count in pairs)

    def take(self, row: int) -> bool:
        """Record a pick.

        Args:
            row: The row picked; it must be open.

        Returns:
            Whether this used up a quota, so that other rows were closed too.
        """
        self.penalty[row] = -torch.inf
        if self.keys is None:
            return False
        key = int(self.keys[row])
        if key not in self._left:
            return False
        self._left[key] -= 1
        if self._left[key] == 0:
            self._close(key)
            return True
        return False

    def first(self, order: Tensor, k: int) -> Tensor:
        """Pick down a ranking, passing over rows that may not be picked; records nothing.

        Args:
            order: int64 `[m]`: rows, the best first, each once.
            k: How many to pick.

        Returns:
            int64 `[min(k, possible)]`: the first rows of the ranking that keep the quotas.
        """
        order = order[self.open[order]]
        if self.keys is not None and self._left:
            order = order[_rank_within(self.keys[order]) < self._limits(self.keys[order])]
        return order[:k]

    def parts(self) -> list[tuple[Tensor, int]]:
        """Split the pool by quota key.

        Returns:
            `(rows, capacity)` for each key, keys ascending: all its rows, int64 ascending, and how
            many of them may be picked. One part with all rows when there are no quotas.
        """
        if self.keys is None:
            return [(torch.arange(len(self.penalty), device=self.penalty.device), self.capacity())]
        parts = []
        for key in torch.unique(self.keys).tolist():
            rows = (self.keys == key).nonzero().squeeze(1)
            count = int(self.open[rows].sum())
            parts.append((rows, min(count, self._left.get(key, count))))
        return parts

    def _close(self, key: int) -> None:
        assert self.keys is not None  # quotas without keys are refused at the door
        self.penalty[self.keys == key] = -torch.inf

    def _limits(self, keys: Tensor) -> Tensor:
        found, inverse = torch.unique(keys, return_inverse=True)
        limits = [self._left.get(key, len(keys)) for key in found.tolist()]
        return torch.tensor(limits, device=keys.device)[inverse]


def check_quotas(quotas: Any) -> dict[int, int]:
    """Check a mapping of quotas.

    Args:
        quotas: From label (or group) to the most picks allowed.

    Returns:
        The same with plain ints.

    Raises:
        ArgumentError: If it is no mapping, or a key or bound is not a whole number.
    """
    if not isinstance(quotas, Mapping):
        raise ArgumentError(f"quotas must map each label to its most picks, not {quotas!r}")
    bounds: dict[int, int] = {}
    for key, bound in quotas.items():
        number = whole_number("quotas: each label", key, least=-(2**63))
        bounds[number] = whole_number(f"quotas[{key!r}]", bound)
    return bounds


def _rank_within(keys: Tensor) -> Tensor:
    """Return for each row how many earlier rows have the same key."""
    order = torch.argsort(keys, stable=True)
    ordered = keys[order]
    place = torch.arange(len(keys), device=keys.device)
    starts = torch.ones(len(keys), dtype=torch.bool, device=keys.device)
    starts[1:] = ordered[1:] != ordered[:-1]
    start_of = torch.cummax(torch.where(starts, place, torch.zeros_like(place)), dim=0).values
    ranks = torch.empty_like(place)
    ranks[order] = place - start_of
    return ranks
