"""A bounded memory over a stream: what every buffer can do, with or without Avalanche.

A memory is a store and an admission rule. `add` checks the rows at the door, asks the rule where
each goes, and writes the admitted ones; `sample` asks a retrieval rule which rows to read. The
random numbers of both come from the memory's own generator.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from buffers.door import check_batch, check_weight, positive, task_column
from buffers.exemplars import Exemplars
from buffers.experiences import Experiences, experience_number
from buffers.incoming import Incoming, Transform
from buffers.retrieval import Retrieval, retrieval_rule
from buffers.saved_state import SavedState
from buffers.store import ExemplarStore
from clcore import Cost
from clcore.clock import working_time
from clcore.errors import ArgumentError


class Memory(SavedState, ABC):
    """A bounded memory with an admission rule.

    Args:
        max_size: Budget in exemplars.
        max_bytes: Budget in bytes instead; the number of exemplars follows from the first rows.
        seed: Seed of the memory's own generator.
        device: Where the exemplars live.
        transform: Applied to the samples that are drawn, batched: uint8 to float, normalising,
            augmenting. Buffers that are filled by Avalanche take the stream's if this is None.

    Raises:
        ArgumentError: Neither or both budgets given, or one that is not positive.
    """

    owned_columns: ClassVar[tuple[str, ...]] = ()
    """Columns that the admission rule itself writes."""

    def __init__(
        self,
        max_size: int | None = None,
        *,
        max_bytes: int | None = None,
        seed: int = 0,
        device: str | torch.device = "cpu",
        transform: Transform | None = None,
    ) -> None:
        if (max_size is None) == (max_bytes is None):
            raise ArgumentError(
                f"max_size, max_bytes: got {max_size!r} and {max_bytes!r}; give exactly one, a "
                "number of exemplars or of bytes"
            )
        positive("max_size", max_size)
        positive("max_bytes", max_bytes)
        self.max_size: int | None = max_size
        self.max_bytes = max_bytes
        self.device = torch.device(device)
        self.transform = transform
        self.eval_transform: Transform | None = None
        self.generator = torch.Generator().manual_seed(seed)
        self.seen = 0
        """Rows offered so far."""
        self.replaced = 0
        """Exemplars overwritten or dropped so far."""
        self._cost = Cost()
        self._seconds = 0.0
        self._experiences = Experiences()
        self._store: ExemplarStore | None = (
            None if max_size is None else ExemplarStore(max_size, device)
        )

    # -- what is there ---------------------------------------------------------------------

    @property
    def store(self) -> ExemplarStore:
        """The table of exemplars.

        Raises:
            ArgumentError: The budget is in bytes and no row was seen yet.
        """
        if self._store is None:
            raise ArgumentError("max_bytes: how many exemplars fit is known after the first `add`")
        return self._store

    @property
    def capacity(self) -> int | None:
        """Number of exemplars that fit; None while a budget in bytes has seen no row."""
        return None if self._store is None else self._store.capacity

    def __len__(self) -> int:
        return 0 if self._store is None else self._store.size

    @property
    def nbytes(self) -> int:
        """Bytes held by the exemplars' tensors, unused rows included."""
        return 0 if self._store is None else self._store.nbytes

    @property
    def cost(self) -> Cost:
        """Spent so far on deciding what to keep."""
        return self._cost + Cost(seconds=self._seconds)

    def spend(self, cost: Cost) -> None:
        """Count passes (and their seconds) that a rule spent outside of `add`."""
        self._cost += cost

    def class_counts(self) -> dict[int, int]:
        """How many exemplars of each class are held."""
        return {} if self._store is None else _counts(self._store.y)

    def task_counts(self) -> dict[int, int]:
        """How many exemplars of each task are held."""
        return {} if self._store is None else _counts(self._store.task)

    def stored_tasks(self) -> Tensor:
        """The task of each exemplar, `[len]` int64, on the CPU.

        The task label where rows with different labels have come; else the number of the experience
        in which the exemplar came, where that is known.
        """
        if self._store is None:
            return torch.empty(0, dtype=torch.int64)
        if self._experiences and not self._experiences.labelled:
            return self._experiences.of(self._store.born.cpu())
        return self._store.task.cpu()

    def tasks_of(self, incoming: Incoming) -> Tensor:
        """The task of each offered row, `[n]` int64, as `stored_tasks` counts them."""
        if incoming.experience is None or self._experiences.labelled:
            return incoming.task
        return torch.full_like(incoming.task, incoming.experience)

    def ages(self) -> Tensor:
        """Rows offered since each exemplar was admitted, `[len]` int64."""
        return self.seen - self.store.born if len(self) else torch.empty(0, dtype=torch.int64)

    # -- writing ---------------------------------------------------------------------------

    def add(
        self,
        x: Tensor,
        y: Tensor,
        task: Tensor | int | None = None,
        *,
        weight: Tensor | None = None,
        learner: Any = None,
        **columns: Tensor,
    ) -> Tensor:
        """Offer a batch of rows; the admission rule decides which are kept.

        Args:
            x: Samples `[n, ...]`: images (uint8 stays uint8), float vectors or integer tokens.
            y: Class labels `[n]`, integers from 0.
            task: Task labels `[n]`, or one for all; 0 if None.
            weight: How much data each row stands for, `[n]`; ones if None.
            learner: Who is learning: an object with a `model`, for rules that need its features.
            **columns: Further columns to keep with each row, `[n, ...]` (logits, features, …).

        Returns:
            The store row that each was written to, `[n]` int64; -1 for those not kept.

        Raises:
            ArgumentError: Shapes, types or labels are wrong, or x holds NaN or infinity.
        """
        check_batch(x, y)
        if weight is not None:
            check_weight(weight, len(y))
        for name, rows in columns.items():
            if not isinstance(rows, Tensor) or len(rows) != len(y):
                raise ArgumentError(f"{name}: one row for each of the {len(y)} samples is needed")
        labels = y.to("cpu", torch.int64)
        tasks = torch.zeros_like(labels) if task is None else task_column(task, labels)
        number = experience_number(getattr(learner, "experience", None))
        incoming = Incoming(x, labels, tasks, columns, weight, agent=learner, experience=number)
        return self.offer(incoming)

    def offer(self, incoming: Incoming) -> Tensor:
        """Offer rows that have passed the checks of `add` already.

        Args:
            incoming: The rows, their labels and tasks int64 and on the CPU.

        Returns:
            The store row that each was written to, `[n]` int64; -1 for those not kept.
        """
        started = working_time()
        if self._store is None:
            self._open_store(incoming)
        store = self.store
        if store.size:
            self._check_fit(incoming)
        self._experiences.note(incoming.task)
        if incoming.experience is not None:
            self._experiences.begin(incoming.experience, self.seen)
        slots = self._admit(incoming)
        taken = torch.nonzero(slots >= 0).view(-1)
        if len(taken):
            before = store.size
            self._write(incoming, slots, taken)
            self.replaced += len(taken) - (store.size - before)
        self.seen += len(slots)
        self._seconds += working_time() - started
        return slots

    def _write(self, incoming: Incoming, slots: Tensor, taken: Tensor) -> None:
        n, weight, columns = len(slots), incoming.weight, incoming.columns
        meta = torch.stack((incoming.y, incoming.task, torch.arange(self.seen, self.seen + n)), 1)
        if len(taken) == n:
            self.store.put(slots, incoming.x(None), meta, weight, columns)
            return
        self.store.put(
            slots.index_select(0, taken),
            incoming.x(taken),
            meta.index_select(0, taken),
            weight if weight is None else weight[taken],
            {name: column[taken] for name, column in columns.items()} if columns else None,
        )

    @abstractmethod
    def _admit(self, incoming: Incoming) -> Tensor:
        """Decide where each offered row goes.

        May drop or move stored rows first (`store.reorder`), and may add the columns that the
        rule owns to `incoming.columns`.

        Args:
            incoming: The rows; `self.seen` still counts those before them only.

        Returns:
            `[n]` int64 store rows, -1 for rows not kept; none twice, no hole left.
        """

    def _open_store(self, incoming: Incoming) -> None:
        assert self.max_bytes is not None
        first = torch.zeros(1, dtype=torch.int64)
        columns = dict.fromkeys(self.owned_columns, first)
        columns |= {name: column[:1] for name, column in incoming.columns.items()}
        row = ExemplarStore.row_bytes(incoming.x(first), columns)
        if self.max_bytes < row:
            raise ArgumentError(
                f"max_bytes: got {self.max_bytes}, but one exemplar takes {row} bytes"
            )
        self.max_size = self.max_bytes // row
        self._store = ExemplarStore(self.max_size, self.device)

    def _check_fit(self, incoming: Incoming) -> None:
        store = self.store
        given = incoming._read
        if not store.extra and not incoming.columns and isinstance(given, Tensor):
            held = store.x
            if held is not None and given.dtype == held.dtype and given.shape[1:] == held.shape[1:]:
                return
        own = {name: store.extra[name] for name in self.owned_columns if name in store.extra}
        if isinstance(incoming._read, Tensor):
            store.check(incoming._read, {**own, **incoming.columns})
        else:
            store.check(incoming.x(torch.zeros(1, dtype=torch.int64)), {**own, **incoming.columns})

    # -- reading ---------------------------------------------------------------------------

    def sample(self, n: int, retrieval: str | Retrieval = "uniform", **context: Any) -> Exemplars:
        """Draw exemplars.

        Args:
            n: How many; all are returned if the memory holds fewer.
            retrieval: Which to draw: the name of a rule in `buffers/retrieval`, or one of your
                own.
            **context: Passed to the rule (a model, the incoming batch), for rules that need it.

        Returns:
            The exemplars, x after the memory's transform.

        Raises:
            ArgumentError: `n` is not positive, or the memory is empty.
        """
        if n < 1:
            raise ArgumentError(f"n: got {n!r}; a positive number of exemplars is needed")
        if len(self) == 0:
            raise ArgumentError("sample: the memory is empty; `add` rows first")
        rule = retrieval_rule(retrieval)
        return self.read(rule.draw(self, n, **context))

    def read(self, rows: Tensor, *, transform: Transform | bool | None = True) -> Exemplars:
        """Read given rows.

        Args:
            rows: Rows of the store, `[m]` int64.
            transform: True for the memory's own, None or False for none, or one to use instead.
        """
        store = self.store
        assert store.x is not None
        index = rows if rows.device == store.device else rows.to(store.device)
        x = store.x.index_select(0, index)
        apply = self.transform if transform is True else transform
        if callable(apply):
            x = apply(x)
        y, task, _ = store.meta.index_select(0, index).unbind(1)
        columns = {name: column.index_select(0, index) for name, column in store.extra.items()}
        return Exemplars(x, y, task, index, store.weight.index_select(0, index), columns)

    def all(self, *, transform: Transform | bool | None = True) -> Exemplars:
        """All exemplars, in store order."""
        if len(self) == 0:
            raise ArgumentError("all: the memory is empty; `add` rows first")
        return self.read(torch.arange(len(self), device=self.store.device), transform=transform)

    # -- resizing ----------------------------------------------------------------------------

    def set_size(self, new_size: int) -> None:
        """Change the budget in exemplars; shrinking drops exemplars by the method's own rule.

        Raises:
            ArgumentError: `new_size` is not positive.
        """
        positive("new_size", new_size)
        if self._store is None:
            self._store = ExemplarStore(new_size, self.device)
        elif new_size != self._store.capacity:
            keep = self._keep_when_shrinking(new_size) if new_size < len(self) else None
            rows = torch.arange(len(self)) if keep is None else keep
            self.replaced += len(self) - len(rows)
            self._store.reorder(rows, new_size)
            self._after_reorder()
        self.max_size, self.max_bytes = new_size, None

    def _keep_when_shrinking(self, new_size: int) -> Tensor:
        """Rows to keep when the budget shrinks: a uniform draw, unless the rule knows better."""
        return torch.randperm(len(self), generator=self.generator)[:new_size].sort().values

    def _after_reorder(self) -> None:
        """Called after stored rows were moved, for rules that remember row numbers."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} of {self.capacity} exemplars, {self.seen} seen)"


def _counts(labels: Tensor) -> dict[int, int]:
    values, counts = torch.unique(labels, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))
