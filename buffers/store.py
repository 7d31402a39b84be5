"""Where exemplars lie: preallocated tensors, one row an exemplar, columns by name.

The rows in use are always `0 … len − 1`: there are no holes, so nothing unfilled can ever be
drawn. Images stay uint8 if they came as uint8; the number of bytes held is known.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from clcore.errors import ArgumentError, FormatError

# The integer columns that every exemplar has; one matrix holds them, so one gather reads them.
META = ("y", "task", "born")


class ExemplarStore:
    """A table of exemplars of fixed capacity.

    Columns `x`, `y` (class), `task`, `born` (how many rows had been offered when it was admitted)
    and `weight` are always there; a method adds others by name (logits, scores, …).

    Args:
        capacity: Number of rows.
        device: Where the tensors live.

    Raises:
        ArgumentError: `capacity` is not a positive integer.
    """

    def __init__(self, capacity: int, device: str | torch.device = "cpu") -> None:
        if isinstance(capacity, bool) or not isinstance(capacity, int) or capacity < 1:
            raise ArgumentError(f"capacity: got {capacity!r}; a positive number of rows is needed")
        self.capacity = capacity
        self.device = torch.device(device)
        self.size = 0
        self.version = 0
        """Counts the changes, so that views of the store know when they are out of date."""
        self.x: Tensor | None = None
        self.meta = torch.full((capacity, len(META)), -1, dtype=torch.int64, device=self.device)
        self.weight = torch.ones(capacity, device=self.device)
        self.weighted = False
        """Whether any exemplar was ever given a weight of its own."""
        self.extra: dict[str, Tensor] = {}

    def __len__(self) -> int:
        return self.size

    @property
    def y(self) -> Tensor:
        """Class labels of the rows in use, `[len]` int64 (a view)."""
        return self.meta[: self.size, 0]

    @property
    def task(self) -> Tensor:
        """Task labels of the rows in use, `[len]` int64 (a view); 0 where none were given."""
        return self.meta[: self.size, 1]

    @property
    def born(self) -> Tensor:
        """When each row in use was admitted, in rows offered, `[len]` int64 (a view)."""
        return self.meta[: self.size, 2]

    @property
    def nbytes(self) -> int:
        """Bytes held by the tensors, the unused rows included."""
        tensors = [self.meta, self.weight, *self.extra.values()]
        if self.x is not None:
            tensors.append(self.x)
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    @staticmethod
    def row_bytes(x: Tensor, columns: Mapping[str, Tensor]) -> int:
        """Bytes that one exemplar takes.

        Args:
            x: A batch of samples, `[n, ...]`.
            columns: Further columns, `[n, ...]` each.
        """
        per_row = sum(t[0].numel() * t.element_size() for t in (x, *columns.values()))
        return per_row + 8 * len(META) + 4

    def check(self, x: Tensor, columns: Mapping[str, Tensor]) -> None:
        """Refuse rows that don't fit the table, before anything is changed.

        Raises:
            ArgumentError: Shape or type differs from the rows already there.
        """
        held = {"x": self.x, **self.extra}
        for name, rows in {"x": x, **columns}.items():
            there = held.get(name)
            if there is None:
                continue
            if rows.shape[1:] != there.shape[1:] or rows.dtype != there.dtype:
                raise ArgumentError(
                    f"{name}: rows are {rows.dtype} {tuple(rows.shape[1:])}, but this buffer holds "
                    f"{there.dtype} {tuple(there.shape[1:])}"
                )
        missing = set(self.extra) - set(columns)
        if self.size and missing:
            raise ArgumentError(
                f"columns: {sorted(missing)} not given, but the exemplars in this buffer have them"
            )
        unexpected = set(columns) - set(self.extra)
        if self.size and unexpected:
            raise ArgumentError(
                f"columns: {sorted(unexpected)} given, but the exemplars in this buffer lack them"
            )

    def put(
        self,
        slots: Tensor,
        x: Tensor,
        meta: Tensor,
        weight: Tensor | None = None,
        columns: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Write rows; slots past the end extend the table and must leave no hole.

        Args:
            slots: Target rows, `[m]` int64, without repeats.
            x: `[m, ...]`.
            meta: `[m, 3]` int64: class, task, born.
            weight: `[m]`; ones if None.
            columns: Further columns, `[m, ...]` each.
        """
        columns = columns or {}
        if self.x is None:
            self.x = torch.zeros((self.capacity, *x.shape[1:]), dtype=x.dtype, device=self.device)
        for name, rows in columns.items():
            if name not in self.extra:
                self.extra[name] = torch.zeros(
                    (self.capacity, *rows.shape[1:]), dtype=rows.dtype, device=self.device
                )
        target = slots.to(self.device)
        self.x.index_copy_(0, target, x.to(self.device))
        self.meta.index_copy_(0, target, meta.to(self.device))
        if weight is None:
            if self.weighted:
                self.weight.index_fill_(0, target, 1.0)
        else:
            self.weighted = True
            self.weight.index_copy_(0, target, weight.to(self.device, self.weight.dtype))
        for name, rows in columns.items():
            self.extra[name].index_copy_(0, target, rows.to(self.device))
        if self.size < self.capacity:
            self.size = max(self.size, int(slots.max()) + 1)
        self.version += 1

    def reorder(self, rows: Tensor, capacity: int | None = None) -> None:
        """Keep these rows only, in this order, in fresh memory.

        Older views of the store keep the tensors that they were made from.

        Args:
            rows: Rows to keep, `[m]` int64.
            capacity: New capacity; unchanged if None.
        """
        capacity = self.capacity if capacity is None else capacity
        rows = rows.to(self.device)
        kept = len(rows)

        def moved(old: Tensor, fill: float) -> Tensor:
            new = torch.full((capacity, *old.shape[1:]), fill, dtype=old.dtype, device=self.device)
            new[:kept] = old[rows]
            return new

        self.x = None if self.x is None else moved(self.x, 0)
        self.meta = moved(self.meta, -1)
        self.weight = moved(self.weight, 1)
        self.extra = {name: moved(column, 0) for name, column in self.extra.items()}
        self.capacity, self.size = capacity, kept
        self.version += 1

    def state_dict(self) -> dict[str, Tensor]:
        """The rows in use as named tensors (copies)."""
        state = {"meta": self.meta[: self.size].clone(), "weight": self.weight[: self.size].clone()}
        if self.x is not None:
            state["x"] = self.x[: self.size].clone()
        for name, column in self.extra.items():
            state[f"extra.{name}"] = column[: self.size].clone()
        return state

    def load_state_dict(self, state: Mapping[str, Tensor], capacity: int) -> None:
        """Replace the content by a saved one.

        Args:
            state: As given by `state_dict`.
            capacity: Capacity of the saved table.

        Raises:
            FormatError: The tensors don't belong together.
        """
        if "meta" not in state or "weight" not in state:
            raise FormatError("the saved buffer lacks its `meta` or `weight` table")
        size = len(state["meta"])
        if size > capacity or any(len(tensor) != size for tensor in state.values()):
            raise FormatError("the saved buffer's columns differ in length, or exceed its capacity")
        fresh = ExemplarStore(capacity, self.device)
        if size:
            fresh.put(
                torch.arange(size),
                state["x"],
                state["meta"],
                None if bool((state["weight"] == 1).all()) else state["weight"],
                {
                    name.removeprefix("extra."): column
                    for name, column in state.items()
                    if name.startswith("extra.")
                },
            )
        version = self.version
        self.__dict__.update(fresh.__dict__)
        self.version = version + 1
