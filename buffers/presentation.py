"""Rows of a store as the samples of the stream that filled it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torch.utils.data.dataloader import default_collate

from buffers.leaves import LeafKind
from buffers.samples import Form, as_sample
from buffers.store import ExemplarStore
from buffers.transforms import BatchTransform

# Where the pipeline is deterministic, reading this share of the rows makes it worthwhile to
# transform all of them at once and to keep them until the memory changes; unless they are many.
_KEEP_AFTER = 0.25
_KEEP_AT_MOST = 2**25  # values

TASKS = "targets_task_labels"
_TENSORS = ("tensor", "image")


@dataclass(frozen=True)
class Presentation:
    """How exemplars look to a stream.

    Attributes:
        train: The stream's training pipeline.
        evaluate: The stream's evaluation pipeline.
        attributes: What each sample has after (x, y), in order: `"targets_task_labels"`,
            `"targets"`, or names of extra columns of the store.
        label_type: Type of y where it is a tensor in the stream's samples; None for a number.
        collate: How samples are made a batch.
    """

    train: BatchTransform = field(default_factory=BatchTransform)
    evaluate: BatchTransform = field(default_factory=BatchTransform)
    attributes: tuple[str, ...] = ()
    label_type: torch.dtype | None = None
    collate: Callable[[list[Any]], Any] = default_collate


class StoreRows(Dataset[Any]):
    """Rows of a store as (x, y) pairs, x as the stream's transforms expect it.

    Args:
        store: The store.
        rows: Which of its rows, `[m]` int64, at least one.
        form: What x is before the stream's transforms.
        label_type: Type of y where it is a tensor; None for a number.
    """

    def __init__(
        self, store: ExemplarStore, rows: Tensor, form: Form, label_type: torch.dtype | None
    ) -> None:
        assert store.x is not None
        # The tensors of this moment: a store that moves its rows makes new ones.
        self.x, self.meta, self.extra = store.x, store.meta, dict(store.extra)
        self.store = store
        self.rows = rows.cpu()
        self.kind = LeafKind(form, label_type)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        row = int(self.rows[index])
        return as_sample(self.x[row].cpu(), self.kind.form), self.label(int(self.meta[row, 0]))

    def label(self, y: int) -> Any:
        """The class label as the stream has it."""
        return y if self.kind.label is None else torch.tensor(y, dtype=self.kind.label)

    def raw_rows(self, index: Tensor) -> Tensor:
        """Untransformed rows at once, `[m, ...]`.

        Args:
            index: Positions among these rows, `[m]` int64.
        """
        return self.x.index_select(0, self.rows[index].to(self.x.device)).cpu()


class Column(Sequence[Any]):
    """A column of the rows of a view, read when the first value is asked for."""

    def __init__(self, table: Tensor, rows: Tensor) -> None:
        self._table, self._rows = table, rows
        self._values: list[Any] | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        if self._values is None:
            picked = self._table[self._rows.to(self._table.device)].cpu()
            self._values = picked.tolist() if picked.ndim == 1 else list(picked.unbind(0))
        return self._values[index]

    __hash__ = object.__hash__


class SampleReader:
    """Reads samples of a view in one transform group."""

    def __init__(self, leaf: StoreRows, pipeline: BatchTransform, look: Presentation) -> None:
        self.leaf, self.pipeline, self.look = leaf, pipeline, look
        self._kept: tuple[Tensor, Form, list[list[Any]]] | None = None
        self._read = 0
        self._version = leaf.store.version

    def sample(self, position: int) -> list[Any]:
        """The sample at this position, as the stream would give it."""
        kept = self._kept
        if kept is None or self._version != self.leaf.store.version:
            return self.samples([position])[0]
        batch, form, columns = kept
        x = batch[position] if form in _TENSORS else as_sample(batch[position], form)
        return [x, *[column[position] for column in columns]]

    def samples(self, index: list[int]) -> list[list[Any]]:
        """Samples at these positions, as the stream would give them."""
        if self._version != self.leaf.store.version:
            self._kept, self._read, self._version = None, 0, self.leaf.store.version
        if self._kept is not None:
            return [self.sample(position) for position in index]
        where = self.leaf.rows[index].to(self.leaf.x.device)
        batch, form = self.pipeline.run(self.leaf.x.index_select(0, where).cpu())
        if self.pipeline.deterministic:
            self._read += len(index)
            if self._read > _KEEP_AFTER * len(self.leaf):
                self._keep(batch[0].numel())
        x = batch if form in _TENSORS else [as_sample(row, form) for row in batch]
        return [list(row) for row in zip(x, *self._columns(where), strict=True)]

    def _columns(self, where: Tensor) -> list[list[Any]]:
        leaf = self.leaf
        y, task, _ = leaf.meta.index_select(0, where).t().tolist()
        columns = [y if leaf.kind.label is None else [leaf.label(label) for label in y]]
        for name in self.look.attributes:
            if name in leaf.extra and name not in (TASKS, "targets"):
                picked = leaf.extra[name].index_select(0, where).cpu()
                columns.append(picked.tolist() if picked.ndim == 1 else list(picked.unbind(0)))
            else:
                columns.append(task if name == TASKS else y)
        return columns

    def _keep(self, values: int) -> None:
        """Transform all rows at once, and answer from that until the memory changes."""
        leaf = self.leaf
        if values * len(leaf) <= _KEEP_AT_MOST:
            x, form = self.pipeline.run(leaf.raw_rows(torch.arange(len(leaf))))
            self._kept = x, form, self._columns(leaf.rows.to(leaf.x.device))
