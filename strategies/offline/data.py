"""Training data as row numbers see it: batches of chosen rows, from tensors or a data set.

Tensors are indexed as they lie, without a loader: a `DataLoader` collates row by row, which takes
longer than the step of a small network. Everything else goes through one `DataLoader` that is kept,
so that its workers are started once.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler, Subset, TensorDataset

from clcore.checks import as_tensor, whole_number
from clcore.errors import ArgumentError
from clcore.guard import guard
from clcore.probe.source import column_of

Batch = tuple[Tensor, Tensor, Tensor]
"""Row numbers, inputs and targets of a batch."""


class TrainingData(abc.ABC):
    """Rows to be trained on and selected from.

    Attributes:
        labels: int64 `[n]` on the CPU, or None where the targets are no class labels.
        for_probe: What a probe reads: the same rows in the same order.
    """

    labels: Tensor | None
    for_probe: Any

    @abc.abstractmethod
    def __len__(self) -> int: ...

    @abc.abstractmethod
    def batches(self, rows: Tensor, size: int) -> Iterator[Batch]:
        """Read rows, batch by batch, in the order given.

        Args:
            rows: int64 `[m]` on the CPU.
            size: Rows a batch; the last may have fewer.

        Yields:
            Rows (where the inputs lie), inputs and targets of each batch.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return what the next batches depend on beside their rows."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: B027 - may be nothing
        """Take what `state_dict` returned."""


def training_data(
    data: Any, *, workers: int = 0, seed: int = 0, pin_memory: bool = False
) -> TrainingData:
    """Take data in one of the forms that a trainer reads.

    Args:
        data: A tuple `(x, y)` of tensors or arrays, a `TensorDataset` of two tensors, or a
            map-style data set of `(x, y)` items.
        workers: Processes that read a data set.
        seed: Of the seeds that workers get.
        pin_memory: Whether batches of a data set are made ready for a GPU.

    Returns:
        The data.

    Raises:
        ArgumentError: If rows can't be told apart by number: an iterable data set, a loader or a
            sampler in place of a data set; or the items are no pairs.
    """
    if isinstance(data, Subset) and isinstance(data.dataset, TensorDataset):
        rows = torch.as_tensor(data.indices)
        data = tuple(column[rows.to(column.device)] for column in data.dataset.tensors)
    if isinstance(data, TensorDataset):
        data = data.tensors
    if isinstance(data, tuple):
        return TensorData([as_tensor("data", column) for column in data])
    if isinstance(data, DataLoader):
        raise ArgumentError(
            "data must be the data set itself, not a DataLoader, whose sampler may shuffle so that "
            "rows can't be told by number; give loader.dataset and batch_size="
        )
    if isinstance(data, Sampler):
        raise ArgumentError("data must be a data set, not a sampler: the trainer orders rows")
    if isinstance(data, IterableDataset) or not (
        hasattr(data, "__getitem__") and hasattr(data, "__len__")
    ):
        raise ArgumentError(
            f"data must have a length and be indexed by row, which {type(data).__name__} is not: "
            "a subset can be chosen of numbered rows only. Read it into a list of (x, y) first"
        )
    return MapData(data, workers, seed, pin_memory)


class TensorData(TrainingData):
    """Two tensors, indexed directly.

    Args:
        columns: Inputs `[n, ...]` and targets `[n, ...]`, on the same device.
    """

    def __init__(self, columns: Sequence[Tensor]) -> None:
        if len(columns) != 2:
            raise ArgumentError(f"data must be two tensors, (x, y), not {len(columns)}")
        self.x, self.y = columns
        if self.x.ndim == 0 or self.y.ndim == 0 or len(self.x) != len(self.y):
            raise ArgumentError(
                f"x and y must have a row for each sample, not shapes {tuple(self.x.shape)} and "
                f"{tuple(self.y.shape)}"
            )
        if self.x.device != self.y.device:
            raise ArgumentError(f"x is on {self.x.device} where y is on {self.y.device}")
        _require_rows(len(self.x))
        self.labels = self.y.to("cpu", torch.int64) if _are_labels(self.y) else None
        self.for_probe = self.x

    def __len__(self) -> int:
        return len(self.x)

    def batches(self, rows: Tensor, size: int) -> Iterator[Batch]:
        """Read rows, batch by batch; see the base class."""
        for part in torch.split(rows.to(self.x.device), size):
            yield part, self.x.index_select(0, part), self.y.index_select(0, part)


class MapData(TrainingData):
    """A map-style data set of `(x, y)` items, read by one `DataLoader`.

    Args:
        dataset: The data set.
        workers: Processes that read it.
        seed: Of the seeds that workers get.
        pin_memory: Whether batches are made ready for a GPU.
    """

    def __init__(self, dataset: Any, workers: int, seed: int, pin_memory: bool) -> None:
        _require_rows(len(dataset))
        whole_number("workers", workers)
        self.dataset, self._order = dataset, _Order()
        # Transforms may be random: what is looked at here must not move the caller's randomness.
        with guard(seed=0):
            first = dataset[0]
            if not isinstance(first, tuple | list) or len(first) != 2:
                shown = f"{type(first).__name__}" + (
                    f" of {len(first)}" if isinstance(first, tuple | list) else ""
                )
                raise ArgumentError(f"the items of data must be pairs (x, y), not {shown}")
            self.labels = self._read_labels(first[1])
        self.for_probe = dataset if self.labels is not None else _Inputs(dataset)
        self._generator = torch.Generator().manual_seed(seed)
        self._loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_sampler=self._order,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=pin_memory,
            generator=self._generator,
        )

    def __len__(self) -> int:
        return len(self.dataset)

    def batches(self, rows: Tensor, size: int) -> Iterator[Batch]:
        """Read rows, batch by batch; see the base class.

        Raises:
            ArgumentError: If an item's label is not what it was when the data were given: then
                weights would go to the wrong rows.
        """
        parts = torch.split(rows, size)
        self._order.batches = [part.tolist() for part in parts]
        for part, (x, y) in zip(parts, self._loader, strict=True):
            if self.labels is not None and _are_labels(y):
                self._require_same(part, y)
            yield part, x, y

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the generator that loader workers are seeded from."""
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what `state_dict` returned."""
        self._generator.set_state(state["generator"])

    def _read_labels(self, first: Any) -> Tensor | None:
        whole = isinstance(first, int) and not isinstance(first, bool)
        if isinstance(first, Tensor):
            whole = first.ndim == 0 and not first.is_floating_point()
        elif hasattr(first, "dtype"):
            whole = first.ndim == 0 and first.dtype.kind in "iu"
        if not whole:
            return None
        column = column_of(self.dataset, 1)
        return None if column is None else column.to("cpu", torch.int64)

    def _require_same(self, rows: Tensor, y: Tensor) -> None:
        known = self.labels[rows] if self.labels is not None else y
        if torch.equal(known, y.to(known)):
            return
        place = int((known != y.to(known)).to(torch.uint8).argmax())
        raise ArgumentError(
            f"data changes between reads: item {int(rows[place])} had label {int(known[place])} "
            f"and now has {int(y[place])}. Its order must stay the same (no shuffling inside the "
            "data set), for weights belong to rows by number"
        )


class _Order(Sampler[list[int]]):
    """The batches of the epoch that comes next."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class _Inputs(Dataset[Any]):
    """The inputs of a data set whose targets are no labels."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, row: int) -> Any:
        return self.dataset[row][0]


def _are_labels(y: Tensor) -> bool:
    return y.ndim == 1 and not y.is_floating_point() and y.dtype != torch.bool


def _require_rows(rows: int) -> None:
    if rows == 0:
        raise ArgumentError("data has no rows")
