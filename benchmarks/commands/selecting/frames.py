"""Tables of columns: parquet files, read in batches, and csv files."""

from __future__ import annotations

import abc
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.commands.selecting.columns import named
from benchmarks.commands.selecting.files import Arrays
from clcore.errors import ArgumentError, FormatError


class _Frame(Arrays):
    """A table whose columns come in batches, so that a matrix is never there twice."""

    word = "column"

    def __init__(self, path: Path, schema: Any, rows: int) -> None:
        super().__init__(path, tuple(schema.names))
        self.rows = rows
        self.types = importlib.import_module("pyarrow.types")
        self.kinds = dict(zip(schema.names, schema.types, strict=True))
        twice = [name for name in self.names if self.names.count(name) > 1]
        if twice:
            raise FormatError(f"{path}: has two columns {twice[0]!r}")

    @abc.abstractmethod
    def batches(self, names: list[str]) -> Iterator[Any]:
        """Yield record batches of some columns."""

    def read(self, name: str) -> Any:
        """Return a column: `[n]`, or `[n, d]` of a column of lists."""
        kind = self.kinds[name]
        if self._is_list(name):
            return self._lists(name)
        if self.types.is_dictionary(kind):
            kind = kind.value_type
        if self.types.is_string(kind) or self.types.is_large_string(kind):
            parts = [part for batch in self._some([name]) for part in batch[name].to_pylist()]
            if None in parts:
                raise self._empty(name, parts.index(None))
            return np.asarray(parts, dtype=str)
        return self._matrix([name])[:, 0]

    def features(self, key: str, used: set[str]) -> Any:
        """Return the column of lists, or the columns of numbers, that are the features."""
        chosen = [part.strip() for part in key.split(",")]
        if chosen != ["features"] or "features" in self.names:
            if len(chosen) == 1:
                found = self.find(key, otherwise=None)
                return found if found.ndim > 1 else found[:, None]
            for name in chosen:
                if name not in self.names:
                    self.find(name)
            return self._matrix(chosen)
        rest = [name for name in self.names if name not in used]
        lists = [name for name in rest if self._is_list(name)]
        if len(lists) == 1:
            return self._lists(lists[0])
        if lists:
            raise ArgumentError(
                f"{self.path}: name the features with --key, it has several columns of lists: "
                f"{named(lists)}"
            )
        if not rest:
            raise FormatError(f"{self.path}: has no column of features")
        return self._matrix(rest)

    def _some(self, names: list[str]) -> Iterator[Any]:
        try:
            for batch in self.batches(names):
                yield {name: batch.column(place) for place, name in enumerate(names)}
        except (ValueError, OSError) as error:  # pyarrow's errors derive from these
            raise FormatError(f"{self.path} is damaged: {error}") from error

    def _is_list(self, name: str) -> bool:
        kind, types = self.kinds[name], self.types
        found = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
        return bool(found)

    def _matrix(self, names: list[str]) -> Any:
        """Read columns of numbers as `[n, d]`."""
        types = [self._number(name) for name in names]
        kind = np.result_type(*types)
        if len(names) > 1 and kind not in (np.float32, np.float64):
            kind = np.dtype(np.float64)
        matrix = np.empty((self.rows, len(names)), dtype=kind)
        start = 0
        for batch in self._some(names):
            stop = start + len(batch[names[0]])
            for place, name in enumerate(names):
                if batch[name].null_count:
                    raise self._empty(name, start + _first_null(batch[name]))
                matrix[start:stop, place] = batch[name].to_numpy(zero_copy_only=False)
            start = stop
        return matrix

    def _number(self, name: str) -> Any:
        kind, types = self.kinds[name], self.types
        if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
            raise FormatError(
                f"{self.path}: column {name!r} holds {kind}, not numbers; name the columns of "
                "features with --key a,b,c"
            )
        return np.dtype(kind.to_pandas_dtype())

    def _lists(self, name: str) -> Any:
        """Read a column of lists of one length as `[n, d]`."""
        kind = self.kinds[name].value_type
        if not (self.types.is_integer(kind) or self.types.is_floating(kind)):
            raise FormatError(f"{self.path}: column {name!r} holds lists of {kind}, not of numbers")
        matrix: Any = None
        start = 0
        for batch in self._some([name]):
            column = batch[name]
            if column.null_count:
                raise self._empty(name, start + _first_null(column))
            values = column.flatten()
            width = len(values) // max(1, len(column))
            if matrix is None:
                matrix = np.empty((self.rows, width), dtype=np.dtype(kind.to_pandas_dtype()))
            lengths = _lengths(column)
            uneven = np.flatnonzero(lengths != matrix.shape[1])
            if len(uneven):
                row = start + int(uneven[0])
                raise FormatError(
                    f"{self.path}: column {name!r} has lists of several lengths; row {row} has "
                    f"{lengths[uneven[0]]} numbers and row 0 has {matrix.shape[1]}"
                    if row
                    else f"{self.path}: column {name!r} has lists of several lengths"
                )
            if values.null_count:
                raise self._empty(name, start + _first_null(values) // max(1, width))
            stop = start + len(column)
            matrix[start:stop] = values.to_numpy(zero_copy_only=False).reshape(len(column), width)
            start = stop
        return np.empty((0, 0), dtype=np.float32) if matrix is None else matrix

    def _empty(self, name: str, row: int) -> FormatError:
        return FormatError(f"{self.path}: column {name!r} has nothing, or no number, in row {row}")


class Parquet(_Frame):
    """A parquet file; only the columns asked for are read."""

    def __init__(self, path: Path) -> None:
        parquet = importlib.import_module("pyarrow.parquet")
        try:
            self.file = parquet.ParquetFile(path, memory_map=True)
        except (ValueError, OSError) as error:
            raise FormatError(f"{path} is damaged, or no parquet file: {error}") from error
        super().__init__(path, self.file.schema_arrow, self.file.metadata.num_rows)

    def batches(self, names: list[str]) -> Iterator[Any]:
        """Yield record batches of some columns."""
        for batch in self.file.iter_batches(columns=names):
            yield batch.select(names)


class Csv(_Frame):
    """A csv file with a header; read whole when opened."""

    def __init__(self, path: Path) -> None:
        reader = importlib.import_module("pyarrow.csv")
        try:
            self.table = reader.read_csv(path)
        except (ValueError, OSError) as error:
            raise FormatError(
                f"{path} is damaged, or no table with a header: {str(error).splitlines()[0]}"
            ) from error
        if all(map(_is_number, self.table.column_names)):
            raise FormatError(
                f"{path}: its first line holds numbers; a header with the names of the columns "
                "is needed"
            )
        super().__init__(path, self.table.schema, self.table.num_rows)

    def batches(self, names: list[str]) -> Iterator[Any]:
        """Yield record batches of some columns."""
        yield from self.table.select(names).to_batches()


def _lengths(column: Any) -> Any:
    """Return how many numbers each list has."""
    compute = importlib.import_module("pyarrow.compute")
    return np.asarray(compute.list_value_length(column).to_numpy(zero_copy_only=False))


def _first_null(column: Any) -> int:
    return int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
