"""A memory seen as an Avalanche data set, tensor-backed and cheap to make.

Avalanche's loaders read one sample at a time; here a sample is one row of the store with the
stream's own pipeline applied to it; several rows, where a loader asks for several, go through the
pipeline together. The view reads the live store: after the next update it shows the new exemplars,
so take `buffer.buffer` anew, as Avalanche's own plugins do.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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

from buffers.presentation import TASKS, Column, Presentation, SampleReader, StoreRows
from buffers.store import ExemplarStore
from buffers.transforms import Step


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


class _View(AvalancheDataset[Any]):
    """What the two kinds of view share: a direct way from index to sample."""

    _readers: Mapping[str, SampleReader] | None = None
    _reader: SampleReader | None = None
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
    view = (TaskView if TASKS in look.attributes else PlainView)(
        [leaf],
        data_attributes=attributes,
        transform_groups=TransformGroups(
            {"train": _composed(look.train.steps), "eval": _composed(look.evaluate.steps)}
        ),
        collate_fn=look.collate,
    )
    view._readers = {
        "train": SampleReader(leaf, look.train, look),
        "eval": SampleReader(leaf, look.evaluate, look),
    }
    view._reader = view._readers["train"]
    view._remake = _Remake(store, look)
    return view


def _attribute(leaf: StoreRows, name: str, in_samples: bool) -> DataAttribute[Any]:
    column = {"targets": 0, TASKS: 1}.get(name)
    table = leaf.extra[name] if column is None else leaf.meta[:, column]
    return DataAttribute(Column(table, leaf.rows), name, use_in_getitem=in_samples)


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
