"""Signals that lie on the disk in one file or many, read a block of rows at a time.

`.npy` files are memory-mapped, of `.safetensors` a slice is read, of `.parquet` the row groups that
are asked for. The files of a signal follow one another; row numbers count through all of them.
"""

from __future__ import annotations

import abc
import bisect
from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clcore.errors import ArgumentError, FormatError, SignalError
from clcore.pool import Pool

Place = str | Path | Tensor | np.ndarray[Any, Any]


class Shards:
    """The signals and columns of a pool, not in memory.

    Args:
        labels: A file, files in order, or a tensor: integers `[n]`; or None.
        weights: Likewise: numbers `[n]`; or None.
        **signals: By name, likewise: `[n, ...]`.

    Raises:
        ArgumentError: If there is no signal, or the lengths differ.
        FormatError: If a file is of no known kind, damaged, or holds something else.

    Example:
        >>> shards = Shards(features=torch.eye(4), labels=torch.tensor([0, 0, 1, 1]))
        >>> len(shards), shards.share(1, 2), shards.pool(2, 4)
        (4, (2, 4), Pool(2 rows, signals=['features'], columns=['labels']))
    """

    def __init__(
        self,
        *,
        labels: Place | Sequence[Place] | None = None,
        weights: Place | Sequence[Place] | None = None,
        **signals: Place | Sequence[Place],
    ) -> None:
        if not signals:
            raise ArgumentError("shards need at least one signal, such as features=")
        given = {**signals, "labels": labels, "weights": weights}
        self._columns = {
            name: _Column(name, places) for name, places in given.items() if places is not None
        }
        self.signals = tuple(signals)
        first = self.signals[0]
        for name, column in self._columns.items():
            if len(column) != len(self._columns[first]):
                raise ArgumentError(
                    f"{name} has {len(column)} rows where {first} has {len(self._columns[first])}"
                )

    def __len__(self) -> int:
        return len(self._columns[self.signals[0]])

    def share(self, rank: int, size: int) -> tuple[int, int]:
        """Return the rows of one process, first and one after the last: as even as can be."""
        return len(self) * rank // size, len(self) * (rank + 1) // size

    def parts(self, rank: int, size: int, rows: int) -> list[tuple[int, int]]:
        """Split the rows of one process into even parts.

        Args:
            rank: Which process.
            size: How many there are.
            rows: The most rows of a part.

        Returns:
            First row and one after the last, of each part.
        """
        start, stop = self.share(rank, size)
        count = max(1, -(-(stop - start) // rows))
        edges = [start + (stop - start) * part // count for part in range(count + 1)]
        return [pair for pair in pairwise(edges) if pair[0] < pair[1]]

    def pool(self, start: int, stop: int, names: Sequence[str] | None = None) -> Pool:
        """Read some rows.

        Args:
            start: The first row.
            stop: The one after the last.
            names: The signals wanted; None for all.

        Returns:
            A pool on the CPU; its row `j` is row `start + j`.

        Raises:
            SignalError: If a value is NaN or infinite, or there is no such signal.
            FormatError: If a file cannot be read.
        """
        for name in names or ():
            if name not in self.signals:
                raise SignalError(
                    f"there are no shards of {name!r}, only of {', '.join(self.signals)}"
                )
        wanted = [*(names or self.signals), "labels", "weights"]
        read = {n: self._columns[n].read(start, stop) for n in wanted if n in self._columns}
        try:
            return Pool(**read)
        except SignalError as error:
            raise SignalError(f"rows {start} to {stop - 1}: {error}") from error


class _File(abc.ABC):
    """One file of a signal."""

    @abc.abstractmethod
    def __init__(self, path: Path, name: str) -> None: ...

    @abc.abstractmethod
    def __len__(self) -> int: ...

    @abc.abstractmethod
    def read(self, start: int, stop: int) -> Tensor:
        """Read rows."""


class _Column:
    """The files of one signal, one after the other."""

    def __init__(self, name: str, places: Place | Sequence[Place]) -> None:
        many = places if isinstance(places, list | tuple) else [places]
        self.files = [_open(name, place) for place in many]  # type: ignore[arg-type]
        self.ends = list(accumulate(len(file) for file in self.files))

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def read(self, start: int, stop: int) -> Tensor:
        """Read rows, across the borders of files."""
        parts, place = [], bisect.bisect_right(self.ends, start)
        while start < stop:
            begin = self.ends[place] - len(self.files[place])
            end = min(stop, self.ends[place])
            if end > start:
                parts.append(self.files[place].read(start - begin, end - begin))
            start, place = max(start, end), place + 1
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def _open(name: str, place: Place) -> _File:
    if isinstance(place, Tensor):
        return _Memory(place)
    if isinstance(place, np.ndarray):
        return _Memory(torch.from_numpy(place))
    if not isinstance(place, str | Path):
        raise ArgumentError(f"{name} must be files or tensors, not {type(place).__name__}")
    path = Path(place)
    kinds: dict[str, type[_File]] = {
        ".npy": _Npy,
        ".safetensors": _Safetensors,
        ".parquet": _Parquet,
    }
    if path.suffix not in kinds:
        raise FormatError(f"{path}: shards are {', '.join(kinds)} files, not {path.suffix!r}")
    try:
        return kinds[path.suffix](path, name)
    except FormatError:
        raise
    except Exception as error:  # each library has its own
        raise FormatError(f"{path} cannot be read as {name}: {error}") from error


class _Memory(_File):
    def __init__(self, values: Tensor) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def read(self, start: int, stop: int) -> Tensor:
        return self.values[start:stop]


class _Npy(_File):
    def __init__(self, path: Path, name: str) -> None:
        self.values = np.load(path, mmap_mode="r", allow_pickle=False)
        self.path = path

    def __len__(self) -> int:
        return len(self.values)

    def read(self, start: int, stop: int) -> Tensor:
        # A map of its own for each block: pages that were read are not held beyond it.
        return torch.from_numpy(np.array(np.load(self.path, mmap_mode="r")[start:stop]))


class _Safetensors(_File):
    def __init__(self, path: Path, name: str) -> None:
        from safetensors import safe_open

        opener: Any = safe_open
        self.file = opener(path, framework="pt")
        keys = list(self.file.keys())
        if name not in keys and len(keys) != 1:
            raise FormatError(f"{path} has no tensor {name!r}, only {', '.join(keys)}")
        self.key = name if name in keys else keys[0]
        self.rows = int(self.file.get_slice(self.key).get_shape()[0])

    def __len__(self) -> int:
        return self.rows

    def read(self, start: int, stop: int) -> Tensor:
        values: Tensor = self.file.get_slice(self.key)[start:stop]
        return values


class _Parquet(_File):
    """A column of numbers or of lists of one length; or all columns, each a number a row."""

    def __init__(self, path: Path, name: str) -> None:
        from pyarrow import parquet

        self.path, self.file = path, parquet.ParquetFile(path)
        there = self.file.schema_arrow.names
        beside = {"labels", "weights"}
        self.columns = [name] if name in there else [c for c in there if c not in beside]
        if name in beside and name not in there:
            raise FormatError(f"{path} has no column {name!r}, only {', '.join(there)}")
        meta = self.file.metadata
        groups = range(meta.num_row_groups)
        self.ends = list(accumulate(meta.row_group(group).num_rows for group in groups))

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def read(self, start: int, stop: int) -> Tensor:
        from pyarrow import compute

        first = bisect.bisect_right(self.ends, start)
        last = bisect.bisect_left(self.ends, stop)
        table = self.file.read_row_groups([*range(first, last + 1)], columns=self.columns)
        begin = self.ends[first - 1] if first else 0
        table = table.slice(start - begin, stop - start).combine_chunks()
        if len(self.columns) > 1:
            columns = [np.asarray(table.column(name)) for name in self.columns]
            return torch.from_numpy(np.stack(columns, axis=1))
        column = table.column(0)
        if hasattr(column.type, "value_type"):
            lists = column.combine_chunks()
            lengths = compute.min_max(compute.list_value_length(lists)).as_py()
            if lengths["min"] != lengths["max"] or lists.null_count:
                raise FormatError(f"{self.path}: the lists of {self.columns[0]} differ in length")
            flat = np.array(lists.flatten())
            return torch.from_numpy(flat.reshape(stop - start, -1))
        return torch.from_numpy(np.array(column.to_numpy()))
