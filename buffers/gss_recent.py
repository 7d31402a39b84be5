"""The recent rows of GSS-IQP and GSS-Clust: collected beside the memory, then chosen among with it.

While there is room rows go straight into the memory. Then they are collected; when `recent` of them
are together, the variant's rule chooses among them and the memory, and the collection is empty
again. Chosen rows take the places of those that leave; exemplars that stay, stay where they are.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from buffers.gradients import cosines
from buffers.gss_cluster import centroids
from buffers.gss_quadratic import most_diverse
from buffers.incoming import Incoming
from buffers.store import ExemplarStore
from clcore.errors import ArgumentError

if TYPE_CHECKING:
    from buffers.gss import GSSBuffer
    from buffers.presentation import Presentation


class RecentRows:
    """Rows that wait beside a memory.

    Args:
        buffer: The memory.
        capacity: How many are collected.
    """

    def __init__(self, buffer: GSSBuffer, capacity: int) -> None:
        self.buffer = buffer
        self.store = ExemplarStore(capacity, buffer.device)
        self.radius = 0.0
        """Of the clusters, once the memory was clustered."""

    def __len__(self) -> int:
        return self.store.size

    @property
    def nbytes(self) -> int:
        """Bytes held; none before the first row."""
        return 0 if self.store.x is None else self.store.nbytes

    def fitted(self, incoming: Incoming, max_bytes: int) -> ExemplarStore:
        """Make the store that fits beside the recent rows into a budget in bytes.

        Raises:
            ArgumentError: Not one exemplar fits.
        """
        columns = {name: column[:1] for name, column in incoming.columns.items()}
        row = ExemplarStore.row_bytes(incoming.x(torch.zeros(1, dtype=torch.int64)), columns)
        beside = row * self.store.capacity
        if max_bytes < row + beside:
            raise ArgumentError(
                f"max_bytes: got {max_bytes}, but one exemplar takes {row} bytes and the "
                f"{self.store.capacity} recent rows beside it {beside}"
            )
        return ExemplarStore((max_bytes - beside) // row, self.buffer.device)

    def admit(self, incoming: Incoming) -> Tensor:
        """Decide where offered rows go; recent rows that enter are written at once.

        Returns:
            `[n]` int64 store rows, -1 for rows that don't enter (yet).
        """
        store, waited, n = self.buffer.store, len(self), len(incoming)
        offered = self._joined(incoming)
        room = min(store.capacity - store.size, waited + n)
        rows = torch.arange(waited + n)
        holders = torch.cat((torch.arange(store.size), store.size + rows[:room]))
        waiting, radius = rows[room:], self.radius
        while len(waiting) >= self.store.capacity:
            chunk, waiting = waiting[: self.store.capacity], waiting[self.store.capacity :]
            holders, radius = self._choose(offered, holders, store.size + chunk, radius)
        collected = self._collected(offered, waiting)
        # From here on nothing can fail.
        slots = torch.full((waited + n,), -1)
        taken = torch.nonzero(holders >= store.size).view(-1)
        slots[holders[taken] - store.size] = taken
        self._write(slots[:waited])
        self.store, self.radius = collected, radius
        return slots[waited:]

    def _choose(
        self, offered: Incoming, holders: Tensor, chunk: Tensor, radius: float
    ) -> tuple[Tensor, float]:
        """Choose among those who hold a slot and a full collection."""
        buffer = self.buffer
        candidates = torch.cat((holders, chunk))
        size = buffer.store.size
        old = candidates < size
        products = buffer.gradients.products(
            buffer, offered, candidates[old], candidates[~old] - size
        )
        order = torch.cat((torch.nonzero(old).view(-1), torch.nonzero(~old).view(-1)))
        cosine = torch.empty_like(products)
        cosine[order.unsqueeze(1), order] = cosines(products)
        if buffer.variant == "iqp":
            chosen = most_diverse(cosine, len(holders), exact=buffer.exact)
        else:
            chosen, radius = centroids(cosine, len(holders), radius, buffer.generator)
        stays = torch.zeros(len(candidates), dtype=torch.bool)
        stays[chosen] = True
        result = holders.clone()
        result[~stays[: len(holders)]] = chunk[stays[len(holders) :]]
        return result, radius

    def _joined(self, incoming: Incoming) -> Incoming:
        """The recent rows and those offered, as one batch."""
        waited, store = len(self), self.store
        if waited == 0:
            return incoming
        assert store.x is not None
        held = store.x[:waited]
        weight = incoming.weight
        if weight is not None or store.weighted:
            given = torch.ones(len(incoming)) if weight is None else weight
            weight = torch.cat((store.weight[:waited].cpu(), given.cpu().to(store.weight.dtype)))
        columns = {
            name: torch.cat((store.extra[name][:waited].to(column.device), column))
            for name, column in incoming.columns.items()
        }
        return Incoming(
            _reader(held, incoming),
            torch.cat((store.y.cpu(), incoming.y)),
            torch.cat((store.task.cpu(), incoming.task)),
            columns,
            weight,
            incoming.agent,
            incoming.evaluate,
            incoming.experience,
        )

    def _collected(self, offered: Incoming, waiting: Tensor) -> ExemplarStore:
        """The collection as it will be: rows that were in it already, then new ones."""
        waited, store = len(self), self.store
        kept, new = waiting[waiting < waited], waiting[waiting >= waited]
        if len(kept) == waited and waited:
            result = copy.copy(store)  # the same tensors: rows are only added
        else:
            result = ExemplarStore(store.capacity, store.device)
            if store.x is not None:  # what is empty for a moment still takes its place
                result.x = torch.zeros_like(store.x)
                result.extra = {name: torch.zeros_like(c) for name, c in store.extra.items()}
            new = waiting
        if len(new):
            born = self.buffer.seen + new - waited
            born = torch.where(new < waited, self._born(new, waited), born)
            meta = torch.stack((offered.y[new], offered.task[new], born), 1)
            weight = None if offered.weight is None else offered.weight[new]
            columns = {name: column[new] for name, column in offered.columns.items()}
            slots = torch.arange(result.size, result.size + len(new))
            result.put(slots, offered.x(new), meta, weight, columns)
        return result

    def _born(self, rows: Tensor, waited: int) -> Tensor:
        if waited == 0:
            return torch.zeros_like(rows)
        return self.store.born.cpu()[rows.clamp(max=waited - 1)]

    def _write(self, slots: Tensor) -> None:
        """Move those of the recent rows that enter into the memory."""
        store, own = self.buffer.store, self.store
        entering = torch.nonzero(slots >= 0).view(-1)
        if len(entering) == 0:
            return
        assert own.x is not None
        before, here = store.size, entering.to(own.device)
        store.put(
            slots[entering],
            own.x[here],
            own.meta[here],
            own.weight[here] if own.weighted else None,
            {name: column[here] for name, column in own.extra.items()},
        )
        self.buffer.replaced += len(entering) - (store.size - before)

    def settle(self, look: Presentation) -> None:
        """Turn the rows into what their stream's evaluation pipeline makes of them."""
        own = self.store
        if own.size == 0:
            self.store = ExemplarStore(own.capacity, own.device)
            return
        assert own.x is not None
        settled = look.evaluate(own.x[: own.size].cpu())
        room = torch.zeros((own.capacity, *settled.shape[1:]), dtype=settled.dtype)
        room[: own.size] = settled
        own.x = room.to(own.device)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next choice depends on."""
        state = self.store.state_dict() if self.store.size else {}
        names = sorted(state)
        tensors = {f"recent.{name}": state[name] for name in names}
        return {"radius": self.radius, "recent_columns": names, **tensors}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        store = ExemplarStore(self.store.capacity, self.store.device)
        names = state["recent_columns"]
        if names:
            tensors = {name: state[f"recent.{name}"] for name in names}
            store.load_state_dict(tensors, store.capacity)
        self.store, self.radius = store, state["radius"]


def _reader(held: Tensor, incoming: Incoming) -> Callable[[Tensor | None], Tensor]:
    """Read rows of which the first lie in the collection."""
    waited = len(held)

    def read(rows: Tensor | None) -> Tensor:
        if rows is None:
            rows = torch.arange(waited + len(incoming))
        old = rows < waited
        parts = []
        if old.any():
            parts.append(held[rows[old].to(held.device)])
        if not old.all():
            new = incoming.x(rows[~old] - waited)
            parts.append(new.to(held.device))
        both = torch.cat(parts)
        order = torch.cat((torch.nonzero(old).view(-1), torch.nonzero(~old).view(-1)))
        return both[order.argsort().to(both.device)]

    return read
