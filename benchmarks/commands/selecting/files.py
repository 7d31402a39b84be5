"""Named arrays in files of many kinds, read one at a time and never unpickled."""

from __future__ import annotations

import abc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.commands.selecting.columns import named
from clcore import Pool
from clcore.errors import ArgumentError, FormatError

KINDS = (".npy", ".npz", ".parquet", ".safetensors", ".csv")
"""Kinds of file that can be read; a folder of memory-mapped signals can be, too."""


class Arrays(abc.ABC):
    """Arrays by name.

    Attributes:
        path: The file.
        names: What is in it; one empty name where arrays have none.
        word: What an array is called in messages.
    """

    word = "array"

    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        self.path, self.names = path, names

    @abc.abstractmethod
    def read(self, name: str) -> Any:
        """Return an array or tensor by a name that is there."""

    def find(self, name: str, *, otherwise: str | None = None) -> Any:
        """Return an array by name.

        Args:
            name: What is asked for. A file with a single array without a name has it under any.
            otherwise: The option that names another one, for the message.

        Returns:
            The array, or the only one in the file if `otherwise` is given and none has the name.

        Raises:
            ArgumentError: If there is none of this name; lists those that are there.
            FormatError: If it is damaged.
        """
        if name in self.names:
            return self.read(name)
        if self.names == ("",) or (otherwise and len(self.names) == 1):
            return self.read(self.names[0])
        hint = f"; give {otherwise}" if otherwise else ""
        raise ArgumentError(
            f"{self.path}: has no {self.word} {name!r}{hint}, it has: {named(self.names)}"
        )

    def features(self, key: str, used: set[str]) -> Any:
        """Return the features `[n, ...]`.

        Args:
            key: Their name.
            used: Names that are labels, groups or other signals.

        Returns:
            Array or tensor; memory-mapped where the kind of file permits it.
        """
        return self.find(key, otherwise="--key")


class _Npy(Arrays):
    def __init__(self, path: Path) -> None:
        super().__init__(path, ("",))

    def read(self, name: str) -> Any:
        try:
            # A file of one object is no array even where it can be mapped.
            return np.load(self.path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise FormatError(f"{self.path} is damaged, or no array of numbers: {error}") from error


class _Npz(Arrays):
    def __init__(self, path: Path) -> None:
        try:
            self.archive = np.load(path, allow_pickle=False)
        except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise FormatError(
                f"{path} is damaged, or holds no arrays of numbers: {error}"
            ) from error
        if not isinstance(self.archive, np.lib.npyio.NpzFile):
            raise FormatError(f"{path} is one array, no archive: name it .npy")
        super().__init__(path, tuple(self.archive.files))

    def read(self, name: str) -> Any:
        try:
            return self.archive[name]
        except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise FormatError(f"{self.path}: array {name!r} is damaged: {error}") from error


class _Safetensors(Arrays):
    def __init__(self, path: Path) -> None:
        import safetensors

        opener: Any = safetensors.safe_open
        try:
            self.file = opener(path, framework="pt")
        except (safetensors.SafetensorError, OSError) as error:
            raise FormatError(f"{path} is damaged: {error}") from error
        super().__init__(path, tuple(self.file.keys()))

    def read(self, name: str) -> Any:
        return self.file.get_tensor(name)


class Folder(Arrays):
    """Signals that a probe wrote to a folder; read by the pool when they are needed."""

    word = "signal"

    def __init__(self, path: Path) -> None:
        self.pool = Pool.open(path)
        labels = () if self.pool.labels is None else ("labels",)
        super().__init__(path, (*labels, *self.pool.names))

    def read(self, name: str) -> Any:
        """Return the labels or a signal."""
        return self.pool.labels if name == "labels" else self.pool.signal(name)


def open_arrays(path: Path) -> Arrays:
    """Open a file of arrays; nothing of them is read yet where the kind permits it.

    Args:
        path: `.npy`, `.npz`, `.safetensors`, `.parquet`, `.csv`, or a folder of signals.

    Returns:
        Its arrays.

    Raises:
        ArgumentError: There is no such file, or the kind is unknown.
        FormatError: It is damaged.
    """
    from benchmarks.commands.selecting.frames import Csv, Parquet

    kinds: dict[str, type[Any]] = {
        ".npy": _Npy,
        ".npz": _Npz,
        ".parquet": Parquet,
        ".safetensors": _Safetensors,
        ".csv": Csv,
    }
    if path.is_dir():
        return Folder(path)
    kind = path.suffix.lower()
    if kind not in kinds:
        raise ArgumentError(
            f"{path}: {kind or 'no ending'} is unknown; known: {', '.join(KINDS)} "
            "(what is pickled is never read)"
        )
    if not path.is_file():
        raise ArgumentError(f"{path}: there is no such file")
    opened: Arrays = kinds[kind](path)
    return opened
