"""Herds: rows that are picked so that the mean of the picks follows the mean of the herd."""

from __future__ import annotations

import abc
from collections import deque
from collections.abc import Sequence

import torch
from torch import Tensor

from clcore.quotas import Allowance


class Herd(abc.ABC):
    """The rows of one herd and the state of its list; write `_advance`.

    Args:
        rows: int64 `[m]`, ascending: which rows of the pool the herd has.
        is_given: bool `[n]`: rows that count as picks made before.

    Attributes:
        rows: As given.
        taken: int64: those of them that were picked before.
        count: How many picks there are so far.
        distance: ‖mean − mean of the picks‖, the picks' mean being 0 before the first.
        is_open: bool `[m]`: which of the rows may be picked.
    """

    def __init__(self, rows: Tensor, is_given: Tensor) -> None:
        self.rows = rows
        self.taken = rows[is_given[rows]]
        self.count = len(self.taken)
        self.is_open = ~is_given[rows]
        self.distance = 0.0

    def restrict(self, is_open: Tensor) -> None:
        """Learn which rows may be picked: bool `[n]`."""
        self.is_open.copy_(is_open[self.rows])

    def more(self, k: int) -> tuple[Tensor, Tensor]:
        """Continue the list.

        Args:
            k: By how many picks; no more than are open.

        Returns:
            The picks, int64 `[k]` rows of the pool, and by how much each brought down the
            distance, float64 `[k]` on the CPU.
        """
        places, distances = self._advance(k)
        self.count += k
        before = torch.cat([torch.tensor([self.distance], dtype=torch.float64), distances[:-1]])
        if k:
            self.distance = float(distances[-1])
        return self.rows[places], (before - distances)[:k]

    @abc.abstractmethod
    def _advance(self, k: int) -> tuple[Tensor, Tensor]:
        """Make k picks and close them.

        Returns:
            Their places among the rows, int64 `[k]`, and the distance after each, float64 `[k]` on
            the CPU.
        """


def evenly(rows: Tensor, weights: Tensor | None) -> Tensor:
    """Return the share of each row in the mean of a herd.

    Args:
        rows: int64 `[m]`: the herd.
        weights: `[n]`; None, or no weight on any of the rows, for equal shares.

    Returns:
        float64 `[m]` that sum to 1.
    """
    shares = torch.ones(len(rows), dtype=torch.float64, device=rows.device)
    if weights is not None and float(weights[rows].sum()) > 0:
        shares = weights[rows].to(torch.float64)
    return shares / shares.sum()


def interleave(herds: Sequence[Herd], k: int, allowance: Allowance) -> tuple[Tensor, Tensor, int]:
    """Take from the herds in turn: first picks of all, then second picks, and so on.

    A herd that has no more is passed over. Where quotas allow it each herd's list is made in one
    go.

    Args:
        herds: Together all rows of the pool, each once.
        k: How many to pick; no more than the allowance permits.
        allowance: Which may be picked.

    Returns:
        int64 `[k]`: the picks; float64 `[k]`, on the CPU: by how much each brought down its herd's
        distance; and how many scores were computed.
    """
    return (_at_once if _independent(herds, allowance) else _in_turn)(herds, k, allowance)


def _independent(herds: Sequence[Herd], allowance: Allowance) -> bool:
    """Say whether no quota concerns more than one herd, nor only a part of one."""
    if allowance.keys is None:
        return True
    found = [torch.unique(allowance.keys[herd.rows]) for herd in herds]
    return all(len(keys) == 1 for keys in found) and len(torch.unique(torch.cat(found))) == len(
        found
    )


def _at_once(herds: Sequence[Herd], k: int, allowance: Allowance) -> tuple[Tensor, Tensor, int]:
    """Make each herd's list in one go and interleave them."""
    device = herds[0].rows.device
    capacities = [allowance.capacity(herd.rows) for herd in herds]
    turns = torch.cat([torch.arange(capacity) for capacity in capacities])
    owners = torch.repeat_interleave(torch.arange(len(herds)), torch.tensor(capacities))
    # Owners ascend, so a stable sort by turn keeps them in order within each turn.
    order = torch.argsort(turns, stable=True)[:k]
    owners = owners[order]
    picks = torch.empty(len(order), dtype=torch.int64, device=device)
    gains = torch.empty(len(order), dtype=torch.float64)
    work = 0
    for place, herd in enumerate(herds):
        mine = (owners == place).nonzero().squeeze(1)
        herd.restrict(allowance.open)
        rows, falls = herd.more(len(mine))
        picks[mine.to(device)], gains[mine] = rows, falls
        work += len(mine) * len(herd.rows)
    return picks, gains, work


def _in_turn(herds: Sequence[Herd], k: int, allowance: Allowance) -> tuple[Tensor, Tensor, int]:
    """Take from the herds one by one, since a pick of one may close rows of another."""
    waiting = deque(herds)
    for herd in waiting:
        herd.restrict(allowance.open)
    picks: list[Tensor] = []
    gains: list[Tensor] = []
    work = 0
    while len(picks) < k:
        herd = waiting.popleft()
        if not bool(herd.is_open.any()):
            continue  # this herd has no more: the others go on in turn
        row, gain = herd.more(1)
        waiting.append(herd)
        picks.append(row)
        gains.append(gain)
        work += len(herd.rows)
        if allowance.take(int(row)):
            for other in waiting:
                other.restrict(allowance.open)
    return torch.cat(picks), torch.cat(gains), work
