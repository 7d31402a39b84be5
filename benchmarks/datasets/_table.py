"""Tables: data sets whose rows are numbers in named columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from benchmarks.datasets._base import Arrays, DataSet
from clcore.errors import ArgumentError


class TableSet(DataSet):
    """Base class of the data sets that are tables; one file a data set, as with images.

    Attributes:
        columns: Names of the columns, in order; `shape` is `(len(columns),)`.
        numeric: How many of the columns, from the first on, are measured; the others are 0 or 1.
    """

    columns: ClassVar[tuple[str, ...]]
    numeric: ClassVar[int]
    rows: ClassVar[str] = "rows"


@dataclass(frozen=True, eq=False)
class TableData:
    """A classification table in memory.

    Attributes:
        name: Registered name, for example `"covtype"`.
        train_x: Training rows, float32 `[n, d]`, as published.
        train_y: Training labels, int64 `[n]`, from 0 to `len(classes) - 1`.
        test_x: Test rows, float32 `[m, d]`.
        test_y: Test labels, int64 `[m]`.
        classes: Class names, in the order of the labels.
        columns: Names of the columns.
        mean: float64 `[d]`: mean of each measured column over the training rows; 0 for the others.
        std: float64 `[d]`: population standard deviation of the same; 1 for the others and where
            it is 0.
    """

    name: str
    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    classes: tuple[str, ...]
    columns: tuple[str, ...]
    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, data_set: TableSet, arrays: Arrays) -> TableData:
        """Measure the columns and wrap tensors that `data_set.verify` has passed.

        Args:
            data_set: What they are.
            arrays: Rows `[n, d]` of any number type and labels `[n]`, for training and for test.

        Returns:
            The data set.

        Raises:
            ArgumentError: If the columns are not those of the data set.
        """
        columns = len(data_set.columns)
        for part, x in (("train", arrays.train_x), ("test", arrays.test_x)):
            if x.ndim != 2 or x.shape[1] != columns or len(x) == 0:
                raise ArgumentError(
                    f"{data_set.name}: {part} rows have shape {tuple(x.shape)}; "
                    f"wanted [n, {columns}] with n > 0"
                )
        measured = arrays.train_x[:, : data_set.numeric].double()
        mean = torch.zeros(columns, dtype=torch.float64)
        std = torch.ones(columns, dtype=torch.float64)
        mean[: data_set.numeric] = measured.mean(dim=0)
        spread = measured.std(dim=0, correction=0)
        std[: data_set.numeric] = torch.where(spread > 0, spread, 1.0)
        return cls(
            data_set.name,
            arrays.train_x.to(torch.float32),
            arrays.train_y.to(torch.int64),
            arrays.test_x.to(torch.float32),
            arrays.test_y.to(torch.int64),
            data_set.classes,
            data_set.columns,
            mean,
            std,
        )

    def standardise(self, x: Tensor) -> Tensor:
        """Bring the measured columns to mean 0 and deviation 1 over the training rows.

        Columns of 0 and 1 stay as they are: those that are seldom 1 would otherwise dominate every
        distance.

        Args:
            x: Rows `[n, d]`.

        Returns:
            New rows, float32 `[n, d]`.
        """
        shifted = x.double() - self.mean.to(x.device)
        return shifted.div_(self.std.to(x.device)).to(torch.float32)
