"""A memory seen as an Avalanche data set, tensor-backed and cheap to make.

Avalanche's loaders read one sample at a time; here a sample is one row of the store with the
stream's own pipeline applied to it; several rows, where a loader asks for several, go through the
pipeline together. The view reads the live store: after the next update it shows the new exemplars,
so take `buffer.buffer` anew, as Avalanche's own plugins do.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import numpy as np
import torch
from avalanche.benchmarks.utils.classification_dataset import (
    ClassificationDataset,
    TaskAwareSupervisedClassificationDataset,
)
from avalanche.benchmarks.utils.data import AvalancheDataset
from avalanche.benchmarks.utils.data_attribute import DataAttribute
from avalanche.benchmarks.utils.ffcv_support.ffcv_components import has_ffcv_support
from avalanche.benchmarks.utils.transform_groups import TransformGroups
from torch import Tensor
from torch.utils.data import Dataset
from torch.utils.data.dataloader import default_collate

from buffers.leaves import LeafKind
from buffers.samples import Form, as_sample
from buffers.store import ExemplarStore
from buffers.transforms import BatchTransform, Step

# Where the pipeline is deterministic, reading this share of the rows makes it worthwhile to
# transform all of them at once and to keep them until the memory changes; unless they are many.
_KEEP_AFTER = 0.25
_KEEP_AT_MOST = 2**25  # values

_TASKS = "targets_task_labels"
_TENSORS = ("tensor", "image")


class FfcvError(RuntimeError):
    """Says to Avalanche that exemplars are no FFCV data."""


def _asked_for_ffcv() -> bool:
    """Whether Avalanche's `has_ffcv_support` is what looks at a view at the moment.

    Before each `ReplayDataLoader` is iterated it joins the stream's data with the memory and lists
    every row of both to see whether they are FFCV data, which costs more than the training step in
    an online stream. It takes any error for a no. Who is asking is the only sign that this is the
    question, so we look at the callers; the answer is the one it would arrive at.
    """
    frame: FrameType | None = sys._getframe(1)
    for _ in range(_CALLERS):
        if frame is None:
            return False
        if frame.f_code is _FFCV_QUESTION:
            return True
        frame = frame.f_back
    return False


_FFCV_QUESTION = has_ffcv_support.__code__
_CALLERS = 12


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


class _Column(Sequence[Any]):
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


class _Reader:
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
            if name in leaf.extra and name not in (_TASKS, "targets"):
                picked = leaf.extra[name].index_select(0, where).cpu()
                columns.append(picked.tolist() if picked.ndim == 1 else list(picked.unbind(0)))
            else:
                columns.append(task if name == _TASKS else y)
        return columns

    def _keep(self, values: int) -> None:
        """Transform all rows at once, and answer from that until the memory changes."""
        leaf = self.leaf
        if values * len(leaf) <= _KEEP_AT_MOST:
            x, form = self.pipeline.run(leaf.raw_rows(torch.arange(len(leaf))))
            self._kept = x, form, self._columns(leaf.rows.to(leaf.x.device))


class _View(AvalancheDataset[Any]):
    """What the two kinds of view share: a direct way from index to sample."""

    _readers: Mapping[str, _Reader] | None = None
    _reader: _Reader | None = None
    _remake: Callable[[Tensor], _View]

    def __getitem__(self, index: Any) -> Any:
        if self._reader is None or not isinstance(index, int | np.integer):
            return super().__getitem__(index)
        position = int(index)
        if not -len(self) <= position < len(self):
            raise IndexError(f"index {position} of {len(self)} exemplars")
        return self._reader.sample(position)

    def __getitems__(self, index: Sequence[int]) -> list[Any]:
        """Several samples at once; PyTorch's loaders ask for them so."""
        if self._reader is None:
            return [self[position] for position in index]
        return self._reader.samples(list(index))

    @property
    def targets(self) -> DataAttribute[Any]:
        """Class labels of the exemplars."""
        if _asked_for_ffcv():
            raise FfcvError("exemplars are no FFCV data")
        labels: DataAttribute[Any] = self._data_attributes["targets"]
        return labels

    def with_transforms(self, group_name: str) -> Any:
        view = super().with_transforms(group_name)
        if self._readers is not None and self._reader is not None:
            view._reader = self._readers.get(group_name)
        return view

    def subset(self, indices: Any) -> Any:
        if self._reader is None:
            return super().subset(indices)
        chosen = torch.as_tensor([int(index) for index in indices], dtype=torch.int64)
        if len(chosen) == 0:
            return super().subset([])
        group = self._flat_data._transform_groups.current_group
        return self._remake(self._reader.leaf.rows[chosen]).with_transforms(group)

    def _shallow_clone_dataset(self) -> Any:
        # The clone is about to get other transforms or attributes: it takes Avalanche's way.
        clone = super()._shallow_clone_dataset()
        clone._reader = None
        return clone

    def __hash__(self) -> int:
        return id(self)


class TaskView(_View, TaskAwareSupervisedClassificationDataset):
    """Rows (x, y, t): for streams whose samples carry a task label."""


class PlainView(_View, ClassificationDataset):
    """Rows (x, y): for streams without task labels."""


def view_of(store: ExemplarStore, rows: Tensor, look: Presentation) -> AvalancheDataset[Any]:
    """Make an Avalanche data set of some rows of a store.

    Args:
        store: The store.
        rows: Which rows, `[m]` int64, at least one; repeats are allowed.
        look: How the exemplars look to the stream.

    Returns:
        A data set whose samples have the form of the stream's.
    """
    leaf = StoreRows(store, rows, look.train.form, look.label_type)
    attributes = [] if "targets" in look.attributes else [_attribute(leaf, "targets", False)]
    attributes += [_attribute(leaf, name, True) for name in look.attributes]
    view = (TaskView if _TASKS in look.attributes else PlainView)(
        [leaf],
        data_attributes=attributes,
        transform_groups=TransformGroups(
            {"train": _composed(look.train.steps), "eval": _composed(look.evaluate.steps)}
        ),
        collate_fn=look.collate,
    )
    view._readers = {
        "train": _Reader(leaf, look.train, look),
        "eval": _Reader(leaf, look.evaluate, look),
    }
    view._reader = view._readers["train"]
    view._remake = _Remake(store, look)
    return view


def _attribute(leaf: StoreRows, name: str, in_samples: bool) -> DataAttribute[Any]:
    column = {"targets": 0, _TASKS: 1}.get(name)
    table = leaf.extra[name] if column is None else leaf.meta[:, column]
    return DataAttribute(_Column(table, leaf.rows), name, use_in_getitem=in_samples)


@dataclass(frozen=True)
class _Remake:
    """Makes a view of other rows (a class, so that loader processes can pickle it)."""

    store: ExemplarStore
    look: Presentation

    def __call__(self, rows: Tensor) -> Any:
        return view_of(self.store, rows, self.look)


def _composed(steps: list[Step]) -> _Compose | None:
    return _Compose(steps) if steps else None


class _Compose:
    """Steps one after the other on x alone, whatever each one's signature looks like."""

    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps

    def __call__(self, x: Any) -> Any:
        for step in self.steps:
            x = step(x)
        return x
