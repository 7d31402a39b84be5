"""Reads the rows of an Avalanche data set as tensors, without loading them one by one.

An experience's `AvalancheDataset` is a tree of subsets and concatenations over some leaf data
set, with transforms attached on the way. `open_rows` walks that tree once, for all rows together,
and hands back labels, tasks, the *untransformed* rows on demand, and the training and evaluation
pipelines as batch transforms. A buffer therefore reads only the rows that it admits, keeps images
as uint8, and shares no reference with the data set that they came from.

Transforms that Avalanche calls frozen belong to the data (the permutation of Permuted MNIST, the
angle of Rotated MNIST) and differ between experiences: they are applied when a row is read, and
are no part of the pipelines.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torch.utils.data.dataloader import default_collate

from buffers.leaves import LeafKind, kind_of, read_rows
from buffers.transforms import BatchTransform, Step, is_deterministic
from buffers.tree import Part, attribute_values, parts_of
from clcore.errors import ArgumentError

_log = logging.getLogger(__name__)
_TASKS = "targets_task_labels"


@dataclass(frozen=True)
class _Source:
    """Rows of one leaf, with what belongs to the data split from what belongs to the pipeline."""

    part: Part
    kind: LeafKind
    fixed: BatchTransform

    def read(self, leaf_rows: Any) -> Tensor:
        raw = read_rows(self.part.leaf, leaf_rows)
        return self.fixed(raw) if self.fixed.steps else raw


class Rows:
    """The rows of one data set.

    Attributes:
        labels: `[n]` int64, on the CPU.
        tasks: `[n]` int64 task labels, or None where the data set has none.
        columns: Values of the other attributes that the stream appends to its samples, by name,
            `[n, ...]` each.
        train: Pipeline that the stream applies when training.
        evaluate: Pipeline that the stream applies when evaluating.
        attributes: Names of the attributes that the stream appends to each sample after
            (x, y), in order; `("targets_task_labels",)` for a classic benchmark, `()` without.
        label_type: Type of y in a sample where it is a tensor; None where it is a number.
        collate: How the stream makes a batch of samples.
    """

    labels: Tensor
    train: BatchTransform
    evaluate: BatchTransform
    tasks: Tensor | None = None
    columns: Mapping[str, Tensor] = MappingProxyType({})
    attributes: tuple[str, ...] = ()
    label_type: torch.dtype | None = None
    collate: Callable[[list[Any]], Any] = staticmethod(default_collate)

    def __init__(
        self,
        sources: Sequence[_Source],
        train: BatchTransform,
        evaluate: BatchTransform,
        labels: Tensor,
    ) -> None:
        self._sources = sources
        self._in_order = len(sources) == 1 and sources[0].part.in_order
        self.train = train
        self.evaluate = evaluate
        self.labels = labels
        self.label_type = sources[0].kind.label

    def __len__(self) -> int:
        return len(self.labels)

    def raw(self, rows: Tensor | None = None) -> Tensor:
        """Read rows as they were before the pipelines.

        Args:
            rows: Which rows, `[m]` int64; None for all.

        Returns:
            `[m, ...]`; uint8 `[m, C, H, W]` for images.

        Raises:
            ArgumentError: The rows differ in shape, or are no images, tensors or arrays.
        """
        wanted = np.arange(len(self)) if rows is None else rows.cpu().numpy()
        if self._in_order:
            source = self._sources[0]
            return source.read(source.part.leaf_rows[wanted])
        where = np.empty(len(self), dtype=np.int64)
        pieces: list[Tensor] = []
        order: list[Any] = []
        for source in self._sources:
            where.fill(-1)
            where[source.part.positions] = np.arange(len(source.part.positions))
            local = where[wanted]
            mine = np.flatnonzero(local >= 0)
            if len(mine):
                pieces.append(source.read(source.part.leaf_rows[local[mine]]))
                order.append(mine)
        if len({(piece.shape[1:], piece.dtype) for piece in pieces}) > 1:
            raise ArgumentError(
                "experience: joins data sets whose samples differ in shape or type "
                f"({[(tuple(p.shape[1:]), str(p.dtype)) for p in pieces]})"
            )
        joined = torch.cat(pieces)
        return joined[torch.from_numpy(np.argsort(np.concatenate(order), kind="stable"))]

    def settled(self, rows: Tensor | None = None) -> Tensor:
        """Read rows as the evaluation pipeline gives them.

        Args:
            rows: Which rows, `[m]` int64; None for all.
        """
        return self.evaluate(self.raw(rows))


def open_rows(dataset: Any) -> Rows:
    """Open an Avalanche data set for reading by rows.

    Args:
        dataset: `AvalancheDataset` with `targets`; or any data set of (x, y) items with `targets`.

    Returns:
        Its rows.

    Raises:
        ArgumentError: It has no samples or no class labels, or appends attributes to its samples
            that are neither numbers nor tensors.
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
    labels = attribute_values(targets, size)
    if labels.is_floating_point() or labels.ndim != 1:
        raise ArgumentError(
            f"experience: `targets` are {labels.dtype} of shape {tuple(labels.shape)}; integer "
            "class labels are needed"
        )
    rows = _open_inputs(dataset, size, labels.long())
    _add_attributes(rows, dataset)
    rows.collate = getattr(dataset, "collate_fn", default_collate)
    return rows


def _open_inputs(dataset: Any, size: int, labels: Tensor) -> Rows:
    parts = parts_of(dataset, size)
    if any(part.joint for part in parts):
        return _loaded(dataset, "transforms that act on sample and label together", labels)
    if any(part.changes_label for part in parts):
        # `targets` is not told of a transform of y; what the model is trained on counts.
        labels = torch.tensor([int(dataset[row][1]) for row in range(size)])
    opened = [_open(part) for part in parts]
    (first, train, evaluate), *others = opened
    alike = all(
        train.same_as(other_train) and evaluate.same_as(other_evaluate)
        for _, other_train, other_evaluate in others
    )
    if not alike:
        return _loaded(dataset, "data sets with different transforms", labels)
    return Rows([first, *(source for source, _, _ in others)], train, evaluate, labels)


def _open(part: Part) -> tuple[_Source, BatchTransform, BatchTransform]:
    """Split what belongs to the data (all up to the last common frozen step) from the pipelines."""
    common = 0
    for position, (train, evaluate) in enumerate(zip(part.train, part.evaluate, strict=False)):
        if train.step is not evaluate.step:
            break
        # Conversions and normalisations are the same in each experience: they stay in the
        # pipelines, so that pictures stay bytes.
        if train.frozen and evaluate.frozen and not is_deterministic(train.step):
            common = position + 1
    kind = kind_of(part.leaf, int(part.leaf_rows[0]))
    fixed = _pipeline([held.step for held in part.train[:common]], kind.form)
    form = kind.form
    if fixed.steps:
        form = fixed.run(read_rows(part.leaf, part.leaf_rows[:1]))[1]
    return (
        _Source(part, kind, fixed),
        _pipeline([held.step for held in part.train[common:]], form),
        _pipeline([held.step for held in part.evaluate[common:]], form),
    )


def _pipeline(steps: list[Step], form: str) -> BatchTransform:
    return BatchTransform(steps, pil=form == "pil", array=form == "array")


def _loaded(dataset: Any, reason: str, labels: Tensor) -> Rows:
    """The data set seen through its own evaluation transforms, read sample by sample."""
    _log.warning(
        "The experience holds %s: its exemplars are stored as the evaluation transforms give them, "
        "without further augmentation.",
        reason,
    )
    size = len(dataset)
    plain = _Loaded(dataset.eval())
    part = Part(plain, np.arange(size), np.arange(size), (), ())
    rows = Rows(
        [_Source(part, kind_of(plain, 0), BatchTransform())],
        BatchTransform(),
        BatchTransform(),
        labels,
    )
    rows.label_type = None
    return rows


class _Loaded(Dataset[Any]):
    """A data set seen through its own transforms, as a leaf."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index]


def _add_attributes(rows: Rows, dataset: Any) -> None:
    size = len(rows)
    tasks = getattr(dataset, _TASKS, None)
    if tasks is not None:
        rows.tasks = attribute_values(tasks, size).long()
    names: list[str] = []
    columns: dict[str, Tensor] = {}
    for name, held in getattr(dataset, "_data_attributes", {}).items():
        if not held.use_in_getitem:
            continue
        names.append(name)
        if name not in (_TASKS, "targets"):
            try:
                columns[name] = attribute_values(held, size)
            except (TypeError, ValueError, RuntimeError, ArgumentError) as error:
                kind = type(held[0]).__name__
                raise ArgumentError(
                    f"experience: appends `{name}` ({kind}) to its samples; buffers keep "
                    "attributes that are numbers or tensors of one shape"
                ) from error
    rows.attributes, rows.columns = tuple(names), columns
