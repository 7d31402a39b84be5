"""A memory seen as an Avalanche data set, tensor-backed and cheap to make.

Avalanche's loaders read one sample at a time; here a sample is one row of the store and the
stream's own pipeline is applied to it (or, for deterministic pipelines that are read often, to the
whole memory once). The view reads the live store: after the next update it shows the new
exemplars, so take `buffer.buffer` anew, as Avalanche's own plugins do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from avalanche.benchmarks.utils.classification_dataset import (
    ClassificationDataset,
    TaskAwareSupervisedClassificationDataset,
)
from avalanche.benchmarks.utils.data import AvalancheDataset
from avalanche.benchmarks.utils.data_attribute import DataAttribute
from avalanche.benchmarks.utils.flat_data import FlatData
from avalanche.benchmarks.utils.transform_groups import TransformGroups
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.functional import to_pil_image

from buffers.transforms import BatchTransform

if TYPE_CHECKING:
    from buffers.store import ExemplarStore

# Reading this share of the rows one by one makes transforming them all at once worthwhile.
_DECODE_ALL_AFTER = 0.25


class StoreRows(Dataset[Any]):
    """Rows of a store as (x, y) pairs, x as the stream's transforms expect it.

    Args:
        store: The store.
        rows: Which of its rows.
        pil: Whether the stream's transforms expect PIL images.
    """

    def __init__(self, store: ExemplarStore, rows: Tensor, *, pil: bool) -> None:
        assert store.x is not None
        # The tensors of this moment: a store that moves its rows makes new ones.
        self.x, self.meta, self.extra = store.x, store.meta, dict(store.extra)
        self.rows = rows.tolist()
        self.gives_pil = pil

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        row = self.rows[index]
        x = self.x[row].cpu()
        return (to_pil_image(x) if self.gives_pil else x), int(self.meta[row, 0])

    def raw_rows(self, index: Tensor) -> Tensor:
        """Untransformed rows at once, `[m, ...]` (what `buffers.stream` asks a leaf for)."""
        return self.x[torch.tensor(self.rows)[index]]


class _View(AvalancheDataset[Any]):
    """What the two kinds of view share: a direct way from index to sample."""

    _leaf: StoreRows | None = None
    _pipelines: dict[str, BatchTransform]
    _decoded: dict[str, Tensor]
    _reads: dict[str, int]

    def _attach(self, leaf: StoreRows, pipelines: dict[str, BatchTransform]) -> None:
        self._leaf, self._pipelines = leaf, pipelines
        self._decoded, self._reads = {}, {}

    def __getitem__(self, index: Any) -> Any:
        leaf = self._leaf
        if leaf is None or not isinstance(index, int | np.integer):
            return super().__getitem__(index)
        group = self._flat_data._transform_groups.current_group
        pipeline = self._pipelines.get(group)
        if pipeline is None or not pipeline.vectorised:
            return super().__getitem__(index)
        row = leaf.rows[index]
        sample: list[Any] = [self._transformed(leaf, row, index, group), int(leaf.meta[row, 0])]
        for attribute in self._data_attributes.values():
            if attribute.use_in_getitem:
                sample.append(attribute[int(index)])
        return sample

    def _transformed(self, leaf: StoreRows, row: int, index: int, group: str) -> Tensor:
        pipeline = self._pipelines[group]
        if not pipeline.steps:
            return leaf.x[row].cpu()
        if pipeline.deterministic:
            decoded = self._decoded.get(group)
            if decoded is not None:
                return decoded[index]
            self._reads[group] = self._reads.get(group, 0) + 1
            if self._reads[group] > _DECODE_ALL_AFTER * len(leaf.rows):
                everything = leaf.x[torch.tensor(leaf.rows, device=leaf.x.device)].cpu()
                self._decoded[group] = pipeline(everything)
        return pipeline(leaf.x[row : row + 1].cpu())[0]

    def with_transforms(self, group_name: str) -> Any:
        view = super().with_transforms(group_name)
        # A copy with another pipeline current; what was decoded belongs to the first.
        view._decoded, view._reads = dict(self._decoded or {}), {}
        return view

    def subset(self, indices: Any) -> Any:
        plain = super().subset(indices)
        plain._leaf = None
        return plain

    def __hash__(self) -> int:
        return id(self)


class TaskView(_View, TaskAwareSupervisedClassificationDataset):
    """Rows (x, y, t): for streams whose samples carry a task label."""


class PlainView(_View, ClassificationDataset):
    """Rows (x, y): for streams without task labels."""


def view_of(
    store: ExemplarStore,
    rows: Tensor,
    *,
    train: BatchTransform,
    evaluate: BatchTransform,
    attributes: tuple[str, ...],
) -> AvalancheDataset[Any]:
    """Make an Avalanche data set of some rows of a store.

    Args:
        store: The store.
        rows: Which rows, `[m]` int64, at least one.
        train: The stream's training pipeline.
        evaluate: The stream's evaluation pipeline.
        attributes: What the stream appends to (x, y): `"targets_task_labels"`, or the name of an
            extra column of the store (`"logits"`), in order.

    Returns:
        A data set whose samples have the form of the stream's.
    """
    pil = train.pil or evaluate.pil
    leaf = StoreRows(store, rows, pil=pil)
    held = leaf.meta[rows.to(leaf.meta.device)].cpu()
    named: list[DataAttribute[Any]] = [DataAttribute(held[:, 0].tolist(), "targets")]
    with_task = "targets_task_labels" in attributes
    for name in attributes:
        if name == "targets_task_labels":
            named.append(DataAttribute(held[:, 1].tolist(), name, use_in_getitem=True))
        elif name in leaf.extra:
            column = leaf.extra[name][rows.to(leaf.meta.device)].cpu()
            data = FlatData([list(column.unbind(0))])
            named.append(DataAttribute(data, name, use_in_getitem=True))
    view = (TaskView if with_task else PlainView)(
        [leaf],
        data_attributes=named,
        transform_groups=TransformGroups(
            {"train": _composed(train.steps), "eval": _composed(evaluate.steps)}
        ),
    )
    view._attach(leaf, {"train": train, "eval": evaluate})
    return view


def _composed(steps: list[Any]) -> Any:
    return _Compose(steps) if steps else None


class _Compose:
    """Steps one after the other on x alone, whatever each one's signature looks like."""

    def __init__(self, steps: list[Any]) -> None:
        self.steps = steps

    def __call__(self, x: Any) -> Any:
        for step in self.steps:
            x = step(x)
        return x
