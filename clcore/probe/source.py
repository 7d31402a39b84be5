"""Data in the forms that a probe reads, and the lazy side of a pool."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

from clcore.checks import integer_column
from clcore.coreset import Cost
from clcore.errors import ArgumentError

if TYPE_CHECKING:
    from clcore.probe.probe import Probe

NEED_LABELS = ("losses", "logit_gradients", "gradient_norms", "projected_gradients")
"""Signals that have no meaning without labels."""

Batch = tuple[Tensor, Tensor | None, Tensor | None]


def size_of(data: Any) -> int:
    """Return how many samples there are, or refuse what is neither a tensor nor a dataset."""
    if isinstance(data, Tensor) and data.ndim > 0:
        return len(data)
    if isinstance(data, Tensor) or not (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
        raise ArgumentError(
            "data must be a tensor with one row a sample, or a dataset with a length whose items "
            f"are (x, y) or (x, y, t), not {type(data).__name__}"
        )
    return len(data)


def batches(data: Any, size: int, labels: Tensor | None, task: Tensor | None) -> Iterator[Batch]:
    """Read data batch by batch.

    Args:
        data: Tensor `[n, ...]`, or a dataset of `x`, `(x, y)` or `(x, y, t)`.
        size: Samples a batch.
        labels: int64 `[n]` that take the place of the dataset's; or None.
        task: int64 `[n]` that take the place of the dataset's; or None.

    Yields:
        `(x, y, t)`, the last two None where there are none.
    """
    start = 0
    for x, y, t in _raw_batches(data, size):
        rows = slice(start, start + len(x))
        yield x, y if labels is None else labels[rows], t if task is None else task[rows]
        start += len(x)


def rows_from(
    start: int, data: Any, labels: Tensor | None, task: Tensor | None
) -> tuple[Any, Tensor | None, Tensor | None]:
    """Leave out the rows before `start`."""
    if start == 0:
        return data, labels, task
    labels, task = (None if column is None else column[start:] for column in (labels, task))
    if isinstance(data, Tensor):
        return data[start:], labels, task
    return Subset(data, range(start, size_of(data))), labels, task


def column_of(data: Any, place: int) -> Tensor | None:
    """Return the labels (`place` 1) or tasks (`place` 2) of a dataset, None if it has none.

    A `TensorDataset`'s column, a `targets` (or `targets_task_labels`) attribute, or a subset of
    either is taken as it stands; otherwise the items are read.
    """
    if isinstance(data, Tensor):
        return None
    if isinstance(data, TensorDataset):
        return data.tensors[place] if place < len(data.tensors) else None
    if isinstance(data, Subset):
        column = column_of(data.dataset, place)
        return None if column is None else column[torch.as_tensor(data.indices)]
    attribute = getattr(data, ("", "targets", "targets_task_labels")[place], None)
    if attribute is not None and len(attribute) == len(data):
        if isinstance(attribute, Tensor):
            return attribute
        return torch.tensor([int(value) for value in attribute], dtype=torch.int64)
    first = data[0] if len(data) else None
    if not isinstance(first, (tuple, list)) or place >= len(first):
        return None
    return torch.tensor([int(data[row][place]) for row in range(len(data))], dtype=torch.int64)


def _raw_batches(data: Any, size: int) -> Iterator[Batch]:
    if isinstance(data, Tensor):
        for x in torch.split(data, size):
            yield x, None, None
        return
    if isinstance(data, TensorDataset):
        for columns in zip(*(torch.split(column, size) for column in data.tensors), strict=True):
            yield _three(columns)
        return
    for items in DataLoader(data, batch_size=size, shuffle=False):
        yield _three(items if isinstance(items, (tuple, list)) else (items,))


def _three(columns: Sequence[Any]) -> Batch:
    x, y, t = [*columns, None, None][:3]
    if not isinstance(x, Tensor):
        raise ArgumentError(f"the samples' x must be tensors, not {type(x).__name__}")
    return x, y, t


class Source(Protocol):
    """The lazy signals of a pool."""

    cost: Cost

    @property
    def names(self) -> tuple[str, ...]:
        """The signals that can be had."""

    @property
    def cross_entropy(self) -> bool:
        """Whether logit gradients follow from logits and labels alone."""

    @property
    def last_layer(self) -> bool:
        """Whether gradient norms are those of the last layer."""

    def compute(self, names: Sequence[str]) -> dict[str, Tensor]:
        """Compute or read signals `[n, ...]`."""

    def subset(self, rows: Tensor) -> Source:
        """Make the source of some of the rows."""


class ProbeSource:
    """The lazy signals of a pool: data, a probe, and which of the names are computed.

    Args:
        data: Tensor or dataset.
        probe: What computes the signals.
        labels: Integers `[n]`, or None for the dataset's own.
        task: Integers `[n]`, one integer, or None for the dataset's own.
    """

    def __init__(self, data: Any, probe: Probe, *, labels: Any, task: Any) -> None:
        self.data, self.probe = data, probe
        size = size_of(data)
        own = column_of(data, 1) if labels is None else labels
        self.labels = None if own is None else integer_column("labels", own, size)
        self.task = task_column(task, size)
        self.cost = Cost()

    def __len__(self) -> int:
        return size_of(self.data)

    @property
    def device(self) -> torch.device:
        """Where the probe computes."""
        return self.probe.device

    @property
    def cross_entropy(self) -> bool:
        """Whether logit gradients follow from logits and labels alone."""
        return self.probe.cross_entropy

    @property
    def last_layer(self) -> bool:
        """Whether gradient norms are those of the last layer."""
        return self.probe.last_layer

    @property
    def names(self) -> tuple[str, ...]:
        """The signals that can be computed: some only with labels."""
        labelled = self.labels is not None
        return tuple(n for n in self.probe.names if labelled or n not in NEED_LABELS)

    def compute(self, names: Sequence[str]) -> dict[str, Tensor]:
        """Compute signals in one pass and add its cost to `cost`."""
        before = self.probe.cost
        signals = self.probe.signals(names, self.data, self.labels, self.task)
        self.cost = self.cost + (self.probe.cost - before)
        return signals

    def subset(self, rows: Tensor) -> ProbeSource:
        """Make the source of some of the rows, with a cost of its own."""
        rows = rows.cpu()
        part = ProbeSource.__new__(ProbeSource)
        part.probe, part.cost = self.probe, Cost()
        part.labels = None if self.labels is None else self.labels[rows.to(self.labels.device)]
        part.task = None if self.task is None else self.task[rows.to(self.task.device)]
        if isinstance(self.data, Tensor):
            part.data = self.data[rows.to(self.data.device)]
        else:
            dataset: Dataset[Any] = self.data
            part.data = Subset(dataset, rows.tolist())
        return part


def task_column(task: Any, size: int) -> Tensor | None:
    """Check task labels: None, one whole number for all, or one a row."""
    if isinstance(task, int) and not isinstance(task, bool):
        return torch.full((size,), task, dtype=torch.int64)
    return None if task is None else integer_column("task", task, size)
