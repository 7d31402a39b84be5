"""Reads the rows of an Avalanche data set as tensors, without loading them one by one.

An experience's `AvalancheDataset` is a tree of subsets and concatenations over some leaf data
set, with transforms attached on the way. `open_rows` walks that tree once, for all rows together,
and hands back labels, tasks, the *untransformed* rows on demand, and the training and evaluation
pipelines as batch transforms. A buffer therefore reads only the rows that it admits, keeps images
as uint8, and shares no reference with the data set that they came from.

This is the one module that looks inside Avalanche's data sets (`FlatData`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from avalanche.benchmarks.utils.data import _FlatDataWithTransform
from avalanche.benchmarks.utils.flat_data import ConstantSequence, FlatData
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Subset, TensorDataset
from torchvision import datasets as tv
from torchvision.transforms.functional import pil_to_tensor

from buffers.transforms import BatchTransform, Step
from clcore.errors import ArgumentError

_log = logging.getLogger(__name__)
_Indices = NDArray[np.int64]


@dataclass(frozen=True)
class _Part:
    """Some rows of one leaf: where they lie there, where they go, and what is applied to them."""

    leaf: Any
    leaf_rows: _Indices
    positions: _Indices
    train_steps: tuple[Step, ...]
    eval_steps: tuple[Step, ...]


class Rows:
    """The rows of one data set.

    Attributes:
        labels: `[n]` int64, on the CPU.
        tasks: `[n]` int64 task labels, or None where the data set has none.
        train: Pipeline that the stream applies when training.
        evaluate: Pipeline that the stream applies when evaluating.
        attributes: Names of the attributes that the stream appends to each sample after
            (x, y), in order; `("targets_task_labels",)` for a classic benchmark, `()` without.
    """

    def __init__(
        self,
        parts: Sequence[_Part],
        labels: Tensor,
        tasks: Tensor | None,
        attributes: tuple[str, ...],
    ) -> None:
        self._parts = parts
        self.labels = labels
        self.tasks = tasks
        self.attributes = attributes
        first = parts[0]
        pil = _gives_pil(first)
        self.train = BatchTransform(first.train_steps, pil=pil)
        self.evaluate = BatchTransform(first.eval_steps, pil=pil)

    def __len__(self) -> int:
        return len(self.labels)

    def raw(self, rows: Tensor | None = None) -> Tensor:
        """Read rows as the leaf data set stores them, before the stream's transforms.

        Args:
            rows: Which rows, `[m]` int64; None for all.

        Returns:
            `[m, ...]`; uint8 `[m, C, H, W]` for images.

        Raises:
            ArgumentError: The rows differ in shape, or are no images, tensors or arrays.
        """
        wanted = np.arange(len(self)) if rows is None else rows.cpu().numpy()
        where = np.empty(len(self), dtype=np.int64)
        pieces: list[Tensor] = []
        order: list[_Indices] = []
        for part in self._parts:
            where.fill(-1)
            where[part.positions] = np.arange(len(part.positions))
            local = where[wanted]
            mine = np.flatnonzero(local >= 0)
            if len(mine):
                pieces.append(_read(part.leaf, part.leaf_rows[local[mine]]))
                order.append(mine)
        if len(pieces) == 1:
            return pieces[0]
        joined = torch.cat(pieces)
        return joined[torch.from_numpy(np.argsort(np.concatenate(order), kind="stable"))]


def open_rows(dataset: Any) -> Rows:
    """Open an Avalanche data set for reading by rows.

    Args:
        dataset: `AvalancheDataset` with `targets`.

    Returns:
        Its rows.

    Raises:
        ArgumentError: It has no samples, or no class labels.
    """
    size = len(dataset)
    if size == 0:
        raise ArgumentError("experience: holds no samples; a buffer needs at least one to update")
    targets = getattr(dataset, "targets", None)
    if targets is None:
        raise ArgumentError(
            "experience: its data set has no `targets`; buffers keep (x, y) pairs with a class "
            "label each (make it with `as_classification_dataset`)"
        )
    labels = torch.as_tensor(_values(targets, size), dtype=torch.int64)
    task_labels = getattr(dataset, "targets_task_labels", None)
    tasks = None
    if task_labels is not None:
        tasks = torch.as_tensor(_values(task_labels, size), dtype=torch.int64)
    attributes = tuple(
        name for name, held in dataset._data_attributes.items() if held.use_in_getitem
    )
    parts = _walk(dataset._flat_data, np.arange(size), np.arange(size), (), ())
    pipelines = {(tuple(map(id, p.train_steps)), tuple(map(id, p.eval_steps))) for p in parts}
    if len(pipelines) > 1 or len({_gives_pil(part) for part in parts}) > 1:
        _log.warning(
            "The experience joins data sets with different transforms: its rows are stored as the "
            "evaluation transforms give them, without further augmentation."
        )
        plain = dataset.eval()
        parts = [_Part(_Plain(plain), np.arange(size), np.arange(size), (), ())]
    return Rows(parts, labels, tasks, attributes)


class _Plain(Dataset[Any]):
    """A data set seen through its own transforms, as a leaf."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index]


def _values(attribute: Any, size: int) -> Sequence[int] | _Indices:
    """The values of a data attribute, read for all rows at once."""
    data = attribute.data
    if isinstance(data, ConstantSequence):
        return np.full(size, int(data[0]))
    parts = _walk(data, np.arange(size), np.arange(size), (), ())
    values = np.empty(size, dtype=np.int64)
    for part in parts:
        values[part.positions] = _take(part.leaf, part.leaf_rows)
    return values


def _take(sequence: Any, rows: _Indices) -> _Indices:
    """Items of a sequence of integers; converts the whole of it only when most is wanted."""
    if isinstance(sequence, Tensor):
        return sequence[torch.from_numpy(rows)].cpu().numpy().astype(np.int64)
    if isinstance(sequence, np.ndarray):
        return sequence[rows].astype(np.int64)
    if isinstance(sequence, ConstantSequence):
        return np.full(len(rows), int(sequence[0]))
    if len(rows) * 4 < len(sequence) or not isinstance(sequence, list | tuple):
        return np.fromiter((int(sequence[row]) for row in rows), np.int64, len(rows))
    return np.asarray(sequence, dtype=np.int64)[rows]


def _walk(
    node: Any,
    rows: _Indices,
    positions: _Indices,
    train: tuple[Step, ...],
    evaluate: tuple[Step, ...],
) -> list[_Part]:
    """Follow rows down the tree of subsets and concatenations; transforms gather on the way."""
    if isinstance(node, Subset):
        return _walk(node.dataset, _take(node.indices, rows), positions, train, evaluate)
    if not isinstance(node, FlatData):
        steps = _own_steps(node)
        return [_Part(node, rows, positions, steps + train, steps + evaluate)]
    if isinstance(node, _FlatDataWithTransform):
        train = _steps_of(node, "train") + train
        evaluate = _steps_of(node, "eval") + evaluate
    if node._indices is not None:
        rows = _take(node._indices, rows)
    if len(node._datasets) == 1:
        return _walk(node._datasets[0], rows, positions, train, evaluate)
    ends = np.asarray(node._cumulative_sizes)
    which = np.searchsorted(ends, rows, side="right")
    parts: list[_Part] = []
    for index in np.unique(which):
        mine = which == index
        start = 0 if index == 0 else ends[index - 1]
        child = node._datasets[index]
        parts += _walk(child, rows[mine] - start, positions[mine], train, evaluate)
    return _merge(parts)


def _merge(parts: list[_Part]) -> list[_Part]:
    """Join parts that read the same leaf through the same steps."""
    merged: dict[tuple[Any, ...], _Part] = {}
    for part in parts:
        key = (id(part.leaf), *map(id, part.train_steps), None, *map(id, part.eval_steps))
        held = merged.get(key)
        if held is not None:
            part = _Part(
                part.leaf,
                np.concatenate([held.leaf_rows, part.leaf_rows]),
                np.concatenate([held.positions, part.positions]),
                part.train_steps,
                part.eval_steps,
            )
        merged[key] = part
    return list(merged.values())


def _steps_of(node: Any, group: str) -> tuple[Step, ...]:
    """Transforms of one level, the frozen ones first (Avalanche applies them first)."""
    steps: list[Step] = []
    for groups in (node._frozen_transform_groups, node._transform_groups):
        if groups is None:
            continue
        transform = groups.transform_groups[group]
        if transform is not None:
            steps.append(transform)
    return tuple(steps)


_MNIST_LIKE = (tv.MNIST,)  # Fashion-MNIST, KMNIST, EMNIST and QMNIST derive from it
_CIFAR_LIKE = (tv.CIFAR10,)  # CIFAR-100 derives from it


def _own_steps(leaf: Any) -> tuple[Step, ...]:
    """The transform of a torchvision leaf that we read around instead of through."""
    if isinstance(leaf, (*_MNIST_LIKE, *_CIFAR_LIKE)) and leaf.transform is not None:
        return (leaf.transform,)
    return ()


def _gives_pil(part: _Part) -> bool:
    if isinstance(part.leaf, (*_MNIST_LIKE, *_CIFAR_LIKE)):
        return True
    if isinstance(part.leaf, TensorDataset):
        return False
    if hasattr(part.leaf, "gives_pil"):
        return bool(part.leaf.gives_pil)
    return isinstance(part.leaf[int(part.leaf_rows[0])][0], Image.Image)


def _read(leaf: Any, rows: _Indices) -> Tensor:
    """Untransformed rows of a leaf: at once where the leaf holds an array, else one by one."""
    index = torch.from_numpy(rows)
    if isinstance(leaf, _MNIST_LIKE):
        return leaf.data[index].unsqueeze(1)
    if isinstance(leaf, _CIFAR_LIKE):
        return torch.from_numpy(leaf.data[rows]).permute(0, 3, 1, 2).contiguous()
    if isinstance(leaf, TensorDataset):
        return leaf.tensors[0][index]
    if hasattr(leaf, "raw_rows"):
        raw: Tensor = leaf.raw_rows(index)
        return raw
    return _stack([_as_tensor(leaf[int(row)][0]) for row in rows])


def _as_tensor(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Image.Image):
        picture: Tensor = pil_to_tensor(value)
        return picture
    if isinstance(value, np.ndarray | float | int):
        return torch.as_tensor(value)
    raise ArgumentError(
        f"experience: samples are of type {type(value).__name__}; a buffer keeps tensors, arrays "
        "or PIL images"
    )


def _stack(rows: list[Tensor]) -> Tensor:
    shapes = {tuple(row.shape) for row in rows}
    if len(shapes) > 1:
        raise ArgumentError(
            f"experience: samples differ in shape ({sorted(shapes)[:3]}...); bring them to one "
            "shape in the data set itself (resize or pad) so that a buffer can keep them"
        )
    return torch.stack(rows)
