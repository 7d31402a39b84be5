"""Memories that choose again: from what they hold and what just arrived, under quotas.

Each `add` (each experience, in Avalanche) is one selection. The budget is shared out evenly among
the groups (classes, tasks, or one group of all); what a group can't fill goes to the others, so the
memory is filled as soon as enough data was seen. Within a group the exemplars have a rank, the
order in which they were picked: a group whose share falls keeps the first ones. Where a rule gives
no order to a group that is kept as a whole, that group chooses when it has to give some up for the
first time: its data is all there.

A subclass says which signals it needs and picks k of the candidates of one group.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from buffers.base import Buffer
from buffers.incoming import Incoming, Transform
from buffers.signals import SignalSource
from clcore import Coreset, Cost, Pool, Probe
from clcore.errors import ArgumentError, FormatError
from clcore.quotas import fair_shares

Quota = Literal["class", "task", "class-and-task"]
Reselect = Literal["new", "all"]


@dataclass
class _Group:
    """One group: its stored rows in rank order, its new rows, how many it may keep, its name."""

    stored: Tensor
    new: Tensor
    share: int = 0
    key: int | None = None

    def __len__(self) -> int:
        return len(self.stored) + len(self.new)


class ConsolidatingBuffer(Buffer):
    """A memory that chooses again at each update.

    Args:
        max_size: Budget in exemplars; the arguments not listed are those of every buffer
            (`Memory`).
        quota: Whether the budget is shared among each `"class"`, each `"task"` (each experience,
            where the stream has no task labels), each class of each task (`"class-and-task"`), or
            (None) not. Where classes come again in later tasks, `"class"` chooses anew among all
            rows of a class, of which a large experience has more than the memory: the last task
            crowds out the others.
        reselect: Which groups choose again: those with `"new"` rows, the others keeping their
            first ones; or `"all"` that have new rows or must give some up.
        probe: Computes the signals; without one they are taken from columns of that name given
            to `add`, or from the model of the strategy in `post_adapt`.
        features: `"input"` to use the samples themselves, flattened, as features.

    Raises:
        ArgumentError: An option is not one of those allowed.
    """

    owned_columns: ClassVar[tuple[str, ...]] = ("rank",)
    quotas: ClassVar[tuple[Quota | None, ...]] = ("class", "task", "class-and-task", None)

    def __init__(
        self,
        max_size: int | None = None,
        *,
        quota: Quota | None = "class",
        reselect: Reselect = "all",
        probe: Probe | None = None,
        features: Literal["input"] | None = None,
        max_bytes: int | None = None,
        seed: int = 0,
        device: str | torch.device = "cpu",
        transform: Transform | None = None,
    ) -> None:
        super().__init__(
            max_size, max_bytes=max_bytes, seed=seed, device=device, transform=transform
        )
        if quota not in self.quotas:
            *names, last = map(repr, self.quotas)
            raise ArgumentError(f"quota: got {quota!r}; {', '.join(names)} or {last} is needed")
        if reselect not in ("new", "all"):
            raise ArgumentError(f"reselect: got {reselect!r}; 'new' or 'all' is needed")
        self.quota, self.reselect = quota, reselect
        self.source = SignalSource(probe, features)
        self._reduced: set[int] = set()  # keys of the groups that have given rows up

    @property
    @abstractmethod
    def signals(self) -> tuple[str, ...]:
        """The signals that a choice needs."""

    @property
    @abstractmethod
    def weighted(self) -> bool:
        """Whether a choice gives weights to keep with the exemplars."""

    @property
    def ranks_the_whole(self) -> bool:
        """Whether the ranks of a group that is kept as a whole say which to drop first."""
        return True

    def compare(self, signals: Mapping[str, Tensor], y: Tensor, stored: int) -> dict[str, Tensor]:
        """Compute further signals from the candidates of all groups together.

        Args:
            signals: Those of `signals`, `[n, ...]`: first the stored candidates, then the new ones.
            y: Class labels, `[n]` int64.
            stored: How many are stored.

        Returns:
            Signals by name, `[n, ...]`, for `choose`; none by default.
        """
        return {}

    @abstractmethod
    def choose(self, pool: Pool, k: int) -> Coreset:
        """Pick exemplars of one group.

        Args:
            pool: The candidates: first those stored, in rank order, then the new ones.
            k: How many, from 1 to the size of the pool.

        Returns:
            Exactly `k` picks, the most important first.
        """

    def _admit(self, incoming: Incoming) -> Tensor:
        if "rank" in incoming.columns:
            raise ArgumentError(f"rank: {type(self).__name__} writes this column itself")
        store = self.store
        groups = self._groups(incoming)
        for group, share in zip(groups, self._shares(groups), strict=True):
            group.share = share
        chosen = self._choose_all(groups, incoming)
        # From here on nothing can fail: the memory changes as a whole or not at all.
        self._reduced.update(_given_up(groups))
        stays = torch.zeros(store.size, dtype=torch.bool)
        ranks = torch.full((len(incoming),), -1)
        weights = incoming.weight
        if self.weighted:
            weights = torch.ones(len(incoming))
        for group, picks, weight in chosen:
            of_stored = picks < len(group.stored)
            rank = torch.arange(len(picks))
            rows = group.stored[picks[of_stored]]
            stays[rows] = True
            if len(rows):
                where = rows.to(store.device)
                store.extra["rank"][where] = rank[of_stored].to(store.device)
                if weight is not None:
                    store.weight[where] = weight[of_stored].to(store.weight)
            fresh = group.new[picks[~of_stored] - len(group.stored)]
            ranks[fresh] = rank[~of_stored]
            if weight is not None and weights is not None:
                weights[fresh] = weight[~of_stored].to(weights)
        incoming.columns["rank"], incoming.weight = ranks, weights
        # The new exemplars take the place of those that go, then the free slots.
        entering = torch.nonzero(ranks >= 0).view(-1)
        places = torch.cat(
            (torch.nonzero(~stays).view(-1), torch.arange(store.size, store.capacity))
        )
        slots = torch.full((len(incoming),), -1)
        slots[entering] = places[: len(entering)]
        return slots

    def _shares(self, groups: list[_Group]) -> list[int]:
        """How many exemplars each group may keep."""
        return fair_shares(self.store.capacity, [len(group) for group in groups])

    def _groups(self, incoming: Incoming) -> list[_Group]:
        store = self.store
        stored_keys = self._keys(store.y, self.stored_tasks())
        new_keys = self._keys(incoming.y, self.tasks_of(incoming))
        by_rank = store.extra["rank"][: store.size].cpu().argsort() if store.size else stored_keys
        keys = torch.unique(torch.cat((stored_keys, new_keys))).tolist()
        return [
            _Group(
                by_rank[stored_keys[by_rank] == key] if store.size else by_rank,
                torch.nonzero(new_keys == key).view(-1),
                key=key,
            )
            for key in keys
        ]

    def _keys(self, y: Tensor, task: Tensor) -> Tensor:
        if self.quota is None:
            return torch.zeros(len(y), dtype=torch.int64)
        if self.quota == "class-and-task":
            return (task.cpu() << 32) + y.cpu()
        return (y if self.quota == "class" else task).cpu()

    def _choose_all(
        self, groups: list[_Group], incoming: Incoming
    ) -> list[tuple[_Group, Tensor, Tensor | None]]:
        """The picks of each group (positions in its stored rows, then its new ones)."""
        again = [g for g in groups if g.share and self._chooses(g)]
        stored = torch.cat([torch.empty(0, dtype=torch.int64), *(g.stored for g in again)])
        new = torch.cat([torch.empty(0, dtype=torch.int64), *(g.new for g in again)])
        signals = (
            self.source.read(self.signals, self, incoming, stored, new)
            if again and self.signals
            else {}
        )
        weight = self._weights(incoming, stored, new)
        y = torch.cat((self.store.y.cpu()[stored], incoming.y[new]))
        if again:
            signals |= self.compare(signals, y, len(stored))
        task = torch.cat((self.stored_tasks()[stored], self.tasks_of(incoming)[new]))
        chosen: list[tuple[_Group, Tensor, Tensor | None]] = []
        stored_done, new_done = 0, len(stored)
        for group in groups:
            if not (group.share and self._chooses(group)):
                chosen.append((group, *self._first_ones(group)))
                continue
            rows = torch.cat(
                (
                    torch.arange(stored_done, stored_done + len(group.stored)),
                    torch.arange(new_done, new_done + len(group.new)),
                )
            )
            stored_done, new_done = stored_done + len(group.stored), new_done + len(group.new)
            pool = Pool(
                labels=y[rows],
                groups=task[rows],
                weights=None if weight is None else weight[rows],
                **{name: values[rows.to(values.device)] for name, values in signals.items()},
            )
            coreset = self.choose(pool, group.share)
            spent = coreset.cost
            # The seconds are counted by `add` already.
            self.spend(
                Cost(0.0, spent.forward_passes, spent.backward_passes, spent.distance_evaluations)
            )
            weights = coreset.weights.cpu() if self.weighted else None
            chosen.append((group, coreset.indices.cpu(), weights))
        return chosen

    def _chooses(self, group: _Group) -> bool:
        if len(group.new) or group.share >= len(group):
            return bool(len(group.new))
        whole = group.key is not None and group.key not in self._reduced
        return self.reselect == "all" or (whole and not self.ranks_the_whole)

    def _weights(self, incoming: Incoming, stored: Tensor, new: Tensor) -> Tensor | None:
        """How much data each candidate stands for; None if one each."""
        held = self.store.weight[: self.store.size].cpu()[stored]
        fresh = torch.ones(len(new))
        if incoming.weight is not None:
            fresh = incoming.weight.cpu()[new].to(held.dtype)
        weight = torch.cat((held, fresh))
        return None if bool((weight == 1).all()) else weight

    def _first_ones(self, group: _Group) -> tuple[Tensor, Tensor | None]:
        """Keep a group's first exemplars; they take over the weight of those that go."""
        picks = torch.arange(group.share)
        if not self.weighted or group.share in (0, len(group)):
            return picks, None
        weight = self.store.weight.cpu()[group.stored]
        kept = weight[: group.share]
        if not float(kept.sum()) > 0:  # a fit may leave the first picks without weight
            kept = torch.ones_like(kept)
        return picks, kept * (weight.sum() / kept.sum())

    def _keep_when_shrinking(self, new_size: int) -> Tensor:
        store = self.store
        keys = self._keys(store.y, self.stored_tasks())
        by_rank = store.extra["rank"][: store.size].cpu().argsort()
        none = torch.empty(0, dtype=torch.int64)
        groups = [
            _Group(by_rank[keys[by_rank] == key], none, key=key)
            for key in torch.unique(keys).tolist()
        ]
        shares = fair_shares(new_size, [len(group) for group in groups])
        kept: list[Tensor] = []
        for group, share in zip(groups, shares, strict=True):
            group.share = share
            picks, weight = self._first_ones(group)
            kept.append(group.stored[picks])
            if weight is not None:
                store.weight[kept[-1].to(store.device)] = weight.to(store.weight)
        self._reduced.update(_given_up(groups))
        return torch.cat(kept).sort().values

    def _rule_state(self) -> dict[str, Any]:
        return {"quota": self.quota, "reduced": sorted(self._reduced)}

    def _load_rule_state(self, state: Mapping[str, Any]) -> None:
        if state["quota"] != self.quota:
            raise FormatError(
                f"the saved buffer has quota={state['quota']!r}, this one quota={self.quota!r}"
            )
        self._reduced = set(state.get("reduced", ()))


def _given_up(groups: list[_Group]) -> list[int]:
    """The keys of the groups that keep fewer rows than they have."""
    return [g.key for g in groups if g.key is not None and g.share < len(g)]
