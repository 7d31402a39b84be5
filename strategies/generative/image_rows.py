"""Images by row number, and the plain order in which trainers go through them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Subset, TensorDataset

from clcore.checks import require_finite, whole_number
from clcore.errors import ArgumentError
from clcore.guard import guard
from clcore.probe.source import size_of
from strategies.generative.seeds import mixed_seed

Transform = Callable[[Tensor], Tensor]


class ImageRows:
    """Rows of a data set as batches of tensors. Tensors are read where they lie, without a copy.

    Args:
        data: Tensor `[n, ...]`, a `TensorDataset`, or a map-style data set of `x` or `(x, y)` whose
            x are tensors; it is read in this process, row by row.
        device: Where batches go.
        transform: Applied to each batch of images, on that device; may be random.

    Attributes:
        data: As given.
        shape: Of one image, after the transform.
        labelled: Whether rows have labels.

    Raises:
        ArgumentError: If rows can't be read by number, there are none, or an image is no tensor of
            floating-point numbers.
        SignalError: If the first image holds NaN or infinity.
    """

    def __init__(self, data: Any, device: torch.device, transform: Transform | None = None) -> None:
        self.data, self._device, self._transform = data, device, transform
        self._size = size_of(data)
        if self._size == 0:
            raise ArgumentError("data has no rows")
        self._columns, self._rows = _tensors_of(data)
        # Transforms may be random: a look must not move the caller's randomness.
        with guard(seed=0):
            first, label = self._read(torch.zeros(1, dtype=torch.int64))
        if not first.is_floating_point():
            raise ArgumentError(
                f"data must be images of floating-point numbers, as a network takes and makes "
                f"them, not {first.dtype}: give transform=, such as lambda x: x / 127.5 - 1"
            )
        require_finite("data", first)
        self.shape, self.labelled = first.shape[1:], label is not None

    def __len__(self) -> int:
        return self._size

    def read(self, rows: Tensor) -> Tensor:
        """Read images.

        Args:
            rows: int64 `[b]` on the CPU.

        Returns:
            `[b, ...]` on the device.
        """
        return self._read(rows)[0]

    def read_labelled(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Read images and labels.

        Args:
            rows: int64 `[b]` on the CPU.

        Returns:
            Images `[b, ...]` on the device, and labels `[b]` on the CPU.

        Raises:
            ArgumentError: If the rows have no labels.
        """
        images, labels = self._read(rows)
        if labels is None:
            raise ArgumentError("data must be of (x, y), with a label for each row")
        return images, labels.cpu()

    def _read(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        if self._columns is not None:
            rows = rows if self._rows is None else self._rows[rows]
            x, *others = (column[rows.to(column.device)] for column in self._columns[:2])
            labels = others[0] if others else None
        else:
            items = [self.data[row] for row in rows.tolist()]
            pairs = [item if isinstance(item, tuple | list) else (item,) for item in items]
            if not all(isinstance(pair[0], Tensor) for pair in pairs):
                raise ArgumentError(
                    f"the images of data must be tensors, not {type(pairs[0][0]).__name__}"
                )
            x = torch.stack([pair[0] for pair in pairs])
            labelled = all(len(pair) > 1 for pair in pairs)
            labels = torch.as_tensor([int(pair[1]) for pair in pairs]) if labelled else None
        x = x.to(self._device)
        return (x if self._transform is None else self._transform(x)), labels


class ShuffledBatches:
    """Random batches: passes over the data, each in a new order, cut into full batches.

    The N mod B rows at the end of an order are left out of that pass. Batch t is a function of the
    seed and of t alone, so a run is resumed from the number of batches that it took.

    Args:
        rows: N.
        batch_size: B, at most N.
        seed: Of the orders.

    Raises:
        ArgumentError: If there are fewer rows than a batch has.

    Example:
        >>> batches = ShuffledBatches(10, 3, seed=0)
        >>> sorted(torch.cat([batches.batch(t) for t in range(3)]).unique().shape)
        [9]
    """

    def __init__(self, rows: int, batch_size: int, seed: int = 0) -> None:
        self.rows = whole_number("rows", rows, least=1)
        self.batch_size = whole_number("batch_size", batch_size, least=1)
        if self.batch_size > self.rows:
            raise ArgumentError(
                f"batch_size {batch_size} is larger than the data, which has {rows} rows"
            )
        self.seed = whole_number("seed", seed)
        self._order: tuple[int, Tensor] | None = None

    def batch(self, number: int) -> Tensor:
        """Return the rows of one batch: int64 `[B]`.

        Args:
            number: Which, counted from 0 through all passes.
        """
        turn, place = divmod(number, self.rows // self.batch_size)
        if self._order is None or self._order[0] != turn:
            generator = torch.Generator().manual_seed(mixed_seed(self.seed, turn))
            self._order = turn, torch.randperm(self.rows, generator=generator)
        return self._order[1][place * self.batch_size : (place + 1) * self.batch_size]

    def settings(self) -> dict[str, Any]:
        """Return what decides on the batches."""
        return {"rows": self.rows, "batch_size": self.batch_size, "seed": self.seed}


def _tensors_of(data: Any) -> tuple[tuple[Tensor, ...] | None, Tensor | None]:
    """Return the tensors that data are read from and which of their rows (None: all), if any."""
    rows: Tensor | None = None
    while isinstance(data, Subset):
        part = torch.as_tensor(list(data.indices), dtype=torch.int64)
        rows = part if rows is None else part[rows]
        data = data.dataset
    if isinstance(data, Tensor):
        return (data,), rows
    if isinstance(data, TensorDataset):
        return data.tensors, rows
    return None, None
