"""A data set as one table of tensors, and the loader that yields its batches.

Which rows come in which batch is asked of the loader that Avalanche made: its own batch sampler
runs, so shuffling, batch size, `drop_last` and task balancing are Avalanche's, draw for draw. Only
the reading is ours: one gather and one batched transform instead of a call for every sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from avalanche.benchmarks.utils.data_loader import (
    MultiDatasetSampler,
    SingleDatasetDataLoader,
    TaskBalancedDataLoader,
)
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data.dataloader import default_collate

from buffers.stream import Rows, _Loaded, open_rows
from buffers.transforms import BatchTransform
from clcore.errors import ArgumentError
from clcore.guard import guard

BatchPlan = Callable[[], Iterator[Sequence[int]]]

TASKS = "targets_task_labels"
"""Avalanche's name for the task labels of samples."""


class RefusedError(Exception):
    """A loader or data set that is better left to Avalanche; says why."""


@dataclass(frozen=True)
class Table:
    """The rows of one or several data sets that share a pipeline.

    Attributes:
        raw: Samples `[n, ...]` before the pipelines.
        labels: `[n]`, of the type that a mini-batch has.
        fields: What the stream appends to (x, y), by name and in order, `[n, ...]` each.
        train: The training pipeline.
        evaluate: The evaluation pipeline.
        label_type: Type of y in a sample where it is a tensor; None where it is a number.
    """

    raw: Tensor
    labels: Tensor
    fields: dict[str, Tensor]
    train: BatchTransform
    evaluate: BatchTransform
    label_type: torch.dtype | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, index: Tensor, transform: BatchTransform) -> list[Tensor]:
        """Read rows in the stream's form: `[x, y]`, `[x, y, t]` or with further fields."""
        return [
            transform(self.raw.index_select(0, index)),
            self.labels.index_select(0, index),
            *(field.index_select(0, index) for field in self.fields.values()),
        ]

    def take(self, index: Tensor) -> BatchRows:
        """Some rows in the form that a buffer takes them; x is read only where it is asked for."""

        def read(rows: Tensor | None) -> Tensor:
            return self.raw.index_select(0, index if rows is None else index[rows])

        return BatchRows(
            read,
            self.labels.index_select(0, index),
            {name: field.index_select(0, index) for name, field in self.fields.items()},
            train=self.train,
            evaluate=self.evaluate,
            label_type=self.label_type,
        )


class BatchRows(Rows):
    """Rows that are already at hand, for `Buffer.offer_rows`.

    Args:
        x: Samples as they shall be stored, `[n, ...]`; or a function that reads some rows (int64
            `[m]`) or all (None).
        labels: `[n]` integers.
        fields: What the stream appends to (x, y), by name and in order, `[n, ...]` each.
        train: Pipeline from `x` to what the model is trained on; none by default.
        evaluate: Pipeline from `x` to what the model is evaluated on; none by default.
        label_type: Type of y in a sample of the stream where it is a tensor.
    """

    def __init__(
        self,
        x: Tensor | Callable[[Tensor | None], Tensor],
        labels: Tensor,
        fields: Mapping[str, Tensor],
        *,
        train: BatchTransform | None = None,
        evaluate: BatchTransform | None = None,
        label_type: torch.dtype | None = None,
    ) -> None:
        self._x = x
        self.labels = labels.to("cpu", torch.int64)
        self.columns = {name: field.cpu() for name, field in fields.items() if name != TASKS}
        self.tasks = fields[TASKS].to("cpu", torch.int64) if TASKS in fields else None
        self.attributes = tuple(fields)
        self.train = BatchTransform() if train is None else train
        self.evaluate = BatchTransform() if evaluate is None else evaluate
        self.label_type = label_type

    def raw(self, rows: Tensor | None = None) -> Tensor:
        """The samples, see `Rows.raw`."""
        if not isinstance(self._x, Tensor):
            return self._x(rows)
        return self._x if rows is None else self._x[rows.to(self._x.device)]


class TableLoader:
    """Yields from a table the batches that a stock loader would have loaded one by one.

    Args:
        table: The rows.
        plan: Gives the row numbers of each batch of an epoch.
        batches: Number of batches an epoch.
        transform: Applied to each batch, anew in each pass.
        repeats: See below.
        passes: How often each batch is yielded, one time after the other.

    Attributes:
        index: Rows of the batch yielded last, `[b]` int64.
        repeats: Whether an epoch may hold a row twice (a task that is over-sampled).
        last_pass: Whether the batch yielded last will not be yielded again at once.
    """

    def __init__(
        self,
        table: Table,
        plan: BatchPlan,
        batches: int,
        transform: BatchTransform,
        *,
        repeats: bool,
        passes: int = 1,
    ) -> None:
        self.table = table
        self.transform = transform
        self.index = torch.empty(0, dtype=torch.int64)
        self.repeats = repeats
        self.passes = passes
        self.last_pass = True
        self._plan = plan
        self._batches = batches

    def __len__(self) -> int:
        return self._batches * self.passes

    def __iter__(self) -> Iterator[list[Tensor]]:
        # A DataLoader draws a seed for its workers first; so do we, to leave the same random
        # numbers for all that comes after.
        torch.empty((), dtype=torch.int64).random_()
        for rows in self._plan():
            self.index = torch.tensor(rows)
            for left in reversed(range(self.passes)):
                self.last_pass = left == 0
                yield self.table.batch(self.index, self.transform)


def plan_of(loader: Any) -> tuple[list[Any], BatchPlan]:
    """Ask a stock loader which rows of which data sets make its batches.

    Args:
        loader: What Avalanche's template put into `strategy.dataloader`.

    Returns:
        The data sets that row numbers refer to, joined in this order; the plan of an epoch.

    Raises:
        RefusedError: It is no stock loader, or joins samples in a way of its own.
    """
    if type(loader) is DataLoader:
        sampler = loader.batch_sampler
        if loader.collate_fn is not default_collate or sampler is None:
            raise RefusedError("the loader collates its samples in a way of its own")
        return [loader.dataset], lambda: iter(sampler)
    if type(loader) not in (TaskBalancedDataLoader, SingleDatasetDataLoader):
        raise RefusedError(
            f"another plugin has put a {type(loader).__name__} in place of the loader"
        )
    if loader.loader_kwargs["collate_fn"] is not default_collate:
        raise RefusedError("the data set collates its samples in a way of its own")
    if loader.distributed_sampling:
        raise RefusedError("training is distributed")

    def plan() -> Iterator[Sequence[int]]:
        samplers = loader._create_samplers(
            loader.datasets, loader.batch_sizes, False, loader.loader_kwargs
        )
        return iter(
            MultiDatasetSampler(
                loader.datasets,
                samplers,
                termination_dataset_idx=loader.termination_dataset,
                oversample_small_datasets=loader.oversample_small_datasets,
            )
        )

    return list(loader.datasets), plan


def read_table(datasets: Sequence[Any], group: str, max_bytes: int) -> Table:
    """Read data sets into one table.

    Args:
        datasets: `AvalancheDataset`s.
        group: The transforms that are switched on in them, `"train"` or `"eval"`.
        max_bytes: Refuse to read more.

    Raises:
        RefusedError: They don't fit, or can't be read as rows with the same result as one by one.
    """
    for dataset in datasets:
        active = dataset._flat_data._transform_groups.current_group
        if active not in (None, group):
            raise RefusedError(f"the data set's transforms are set to {active!r}, not {group!r}")
    try:
        opened = [open_rows(dataset) for dataset in datasets]
        first = opened[0]
        if any(isinstance(source.part.leaf, _Loaded) for r in opened for source in r._sources):
            raise RefusedError("its samples can only be transformed one by one")
        one = first.raw(torch.zeros(1, dtype=torch.int64))
        needed = sum(len(rows) for rows in opened) * one.numel() * one.element_size()
        if needed > max_bytes:
            raise RefusedError(f"the experience takes {needed} bytes, max_bytes is {max_bytes}")
        raw = _joined([rows.raw() for rows in opened])
    except ArgumentError as error:
        raise RefusedError(str(error)) from error
    if any(
        rows.attributes != first.attributes
        or not rows.train.same_as(first.train)
        or not rows.evaluate.same_as(first.evaluate)
        for rows in opened[1:]
    ):
        raise RefusedError("the data sets of a batch differ in their transforms or fields")
    labels = _joined([rows.labels for rows in opened])
    table = Table(
        raw,
        labels if first.label_type is None else labels.to(first.label_type),
        {name: _joined([_field(rows, name) for rows in opened]) for name in first.attributes},
        first.train,
        first.evaluate,
        first.label_type,
    )
    _compare(datasets[0], table, table.train if group == "train" else table.evaluate)
    return table


def _field(rows: Rows, name: str) -> Tensor:
    field = rows.tasks if name == TASKS else rows.columns.get(name)
    if field is None:
        raise RefusedError(f"its samples carry {name!r}, which is not read as a column")
    return field


def _compare(dataset: Any, table: Table, transform: BatchTransform) -> None:
    """Load one sample in Avalanche's way and in ours; they must agree."""
    if transform.deterministic:
        ours, theirs = _first_batch(dataset, table, transform)
    else:
        with guard():  # looking must not advance the random numbers of the transforms
            ours, theirs = _first_batch(dataset, table, transform)
    same = len(ours) == len(theirs) and all(
        isinstance(b, Tensor) and a.dtype == b.dtype and a.shape == b.shape
        for a, b in zip(ours, theirs, strict=True)
    )
    compared = slice(0 if transform.deterministic else 1, None)
    if not same or not all(
        torch.allclose(a, b, rtol=1e-5, atol=1e-6)
        for a, b in zip(ours[compared], theirs[compared], strict=True)
    ):
        raise RefusedError("its samples, read as rows, differ from those loaded one by one")


def _first_batch(
    dataset: Any, table: Table, transform: BatchTransform
) -> tuple[list[Tensor], list[Any]]:
    theirs = default_collate([dataset[0]])
    return table.batch(torch.zeros(1, dtype=torch.int64), transform), list(theirs)


def _joined(pieces: list[Tensor]) -> Tensor:
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)
