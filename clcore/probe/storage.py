"""Signals in a folder: one plain .npy file each, and a header that says how far they are.

The files are memory-mapped, so neither writing nor reading ever holds a whole signal. The header,
`signals.json`, is replaced in one step after rows were written: whatever moment the process is
killed at, the rows that the header counts are there, and the next call goes on behind them.

    {"format": "clcore-signals", "schema": 1, "rows": 1000, "finished": 512, "batch_size": 256,
     "model": 2774915601, "cross_entropy": true, "last_layer": true,
     "signals": {"features": {"shape": [1000, 64], "dtype": "float32", "bytes": 256128}},
     "columns": {"labels": {"shape": [1000], "dtype": "int64", "bytes": 8128}}}
"""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from clcore.checks import as_tensor, require_finite
from clcore.coreset import Cost
from clcore.errors import ArgumentError, FormatError

HEADER = "signals.json"
_FORMAT, _SCHEMA = "clcore-signals", 1
_SECONDS = 1.0
"""How long rows may stay uncounted in the header."""


class Writer:
    """Takes the signals of one batch after the other.

    Args:
        folder: Where to; made if need be.
        names: The signals.
        rows: How many there will be.
        labels: int64 `[n]` written beside them; or None.
        settings: What must be the same when the writing goes on later.

    Raises:
        FormatError: If the folder holds files that are no signals, or damaged ones.
        ArgumentError: If it holds signals of other names, rows, labels or settings.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        rows: int,
        labels: Tensor | None,
        settings: Mapping[str, Any],
    ) -> None:
        self.folder, self.rows = folder, rows
        self.arrays: dict[str, np.ndarray[Any, Any]] = {}
        self.header: dict[str, Any] = {}
        self.saved = time.monotonic()
        column = None if labels is None else labels.cpu().numpy()
        check = 0 if column is None else zlib.crc32(column.tobytes())
        wanted = {"rows": rows, "names": sorted(set(names)), "labels": check, **settings}
        if (folder / HEADER).exists():
            self.header = read_header(folder)
            for key, value in wanted.items():
                if self.header.get(key) != value:
                    raise ArgumentError(
                        f"{folder} holds signals with {key} = {self.header.get(key)!r} where this "
                        f"call has {value!r}: write to another folder, or delete that one"
                    )
            for name, entry in self.header["signals"].items():
                self.arrays[name] = _mapped(folder, name, entry, "r+")
        else:
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise FormatError(f"{folder} is not empty and holds no signals of clcore")
            folder.mkdir(parents=True, exist_ok=True)
            self.header = {"format": _FORMAT, "schema": _SCHEMA, "finished": 0, **wanted}
            self.header |= {"signals": {}, "columns": {}}
            self._save()
        if column is not None and "labels" not in self.header["columns"]:
            np.save(folder / "labels.npy", column, allow_pickle=False)
            self.header["columns"]["labels"] = _entry(folder, "labels", column)
            self._save()

    @property
    def finished(self) -> int:
        """Rows that are done."""
        return int(self.header["finished"])

    def keep(self, row: int, signals: Mapping[str, Tensor]) -> None:
        """Write the rows from `row` on.

        Args:
            row: Where they begin.
            signals: `[b, ...]` by name.

        Raises:
            SignalError: If one holds NaN or infinity.
        """
        size = 0
        for name, values in signals.items():
            require_finite(name, values, row)
            half = values.dtype is torch.bfloat16
            block = (values.float() if half else values).cpu().numpy()
            self._array(name, block)[row : row + len(block)] = block
            size = len(block)
        self.header["finished"] = row + size
        if time.monotonic() - self.saved > _SECONDS:
            self._save()

    def close(self) -> None:
        """Count what is done; may be called at any time."""
        if self.rows == 0:
            for name in self.header["names"]:
                self._array(name, np.empty(0, dtype=np.float32))
        self._save()

    def _array(self, name: str, block: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if name not in self.arrays:
            path, shape = self.folder / f"{name}.npy", (self.rows, *block.shape[1:])
            if self.rows:
                mapped = np.lib.format.open_memmap(path, "w+", dtype=block.dtype, shape=shape)
                self.arrays[name] = mapped
            else:
                np.save(path, block, allow_pickle=False)
                self.arrays[name] = block
            self.header["signals"][name] = _entry(self.folder, name, self.arrays[name])
        return self.arrays[name]

    def _save(self) -> None:
        for array in self.arrays.values():
            if isinstance(array, np.memmap):
                array.flush()
        fresh = self.folder / f"{HEADER}.new"
        fresh.write_text(json.dumps(self.header, indent=1))
        os.replace(fresh, self.folder / HEADER)
        self.saved = time.monotonic()


class FolderSource:
    """The signals of a folder, each opened when first asked for.

    Args:
        folder: What `Probe.write` filled.

    Raises:
        FormatError: If it holds no signals, damaged or unfinished ones.
    """

    device = torch.device("cpu")
    """Where the signals lie."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.header = folder, read_header(folder)
        self.rows: Tensor | None = None
        self.cost = Cost()
        finished, rows = self.header["finished"], self.header["rows"]
        if finished != rows:
            raise FormatError(
                f"{folder} is unfinished: {finished} of {rows} rows; the same Probe.write goes on"
            )
        for name, entry in (self.header["signals"] | self.header["columns"]).items():
            _mapped(folder, name, entry, "r")

    @property
    def names(self) -> tuple[str, ...]:
        """The signals that were written."""
        return tuple(self.header["signals"])

    @property
    def cross_entropy(self) -> bool:
        """Whether logit gradients follow from logits and labels alone."""
        return bool(self.header.get("cross_entropy"))

    @property
    def last_layer(self) -> bool:
        """Whether gradient norms are those of the last layer."""
        return bool(self.header.get("last_layer"))

    def column(self, name: str) -> Tensor | None:
        """Return a column that was written, None if it was not."""
        entry = self.header["columns"].get(name)
        return None if entry is None else as_tensor(name, _mapped(self.folder, name, entry, "r"))

    def compute(self, names: Sequence[str]) -> dict[str, Tensor]:
        """Open signals; of a subset, read its rows."""
        found = {}
        for name in names:
            array = _mapped(self.folder, name, self.header["signals"][name], "r")
            values = as_tensor(name, array)
            found[name] = values if self.rows is None else values[self.rows]
        return found

    def subset(self, rows: Tensor) -> FolderSource:
        """Make the source of some of the rows."""
        part = FolderSource.__new__(FolderSource)
        part.folder, part.header, part.cost = self.folder, self.header, Cost()
        part.rows = rows if self.rows is None else self.rows[rows]
        return part

    def __len__(self) -> int:
        return int(self.header["rows"]) if self.rows is None else len(self.rows)


def read_header(folder: Path) -> dict[str, Any]:
    """Read and check the header of a folder of signals.

    Args:
        folder: Where it lies.

    Returns:
        The header.

    Raises:
        FormatError: If there is none, or it is not one.
    """
    path = folder / HEADER
    if not path.is_file():
        raise FormatError(f"{folder} holds no signals: it has no {HEADER}")
    try:
        header = json.loads(path.read_text())
    except (ValueError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} is damaged: {error}") from None
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise FormatError(f"{path} is no header of clcore signals")
    if header.get("schema") != _SCHEMA:
        raise FormatError(f"{path} has schema {header.get('schema')!r}; known is {_SCHEMA}")
    rows, finished = header.get("rows"), header.get("finished")
    if type(rows) is not int or type(finished) is not int or not 0 <= finished <= rows:
        raise FormatError(f"{path} is damaged: rows and finished are {rows!r} and {finished!r}")
    for part in ("signals", "columns"):
        if not isinstance(header.get(part), dict):
            raise FormatError(f"{path} is damaged: it has no {part}")
    return header


def fingerprint(model: nn.Module) -> int:
    """Return a checksum of a model's parameters and buffers."""
    check = 0
    for name, values in model.state_dict().items():
        check = zlib.crc32(name.encode(), check)
        if isinstance(values, Tensor):
            flat = values.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            check = zlib.crc32(flat.numpy().data, check)
    return check


def _entry(folder: Path, name: str, array: np.ndarray[Any, Any]) -> dict[str, Any]:
    size = (folder / f"{name}.npy").stat().st_size
    return {"shape": list(array.shape), "dtype": array.dtype.name, "bytes": size}


def _mapped(folder: Path, name: str, entry: Any, mode: Any) -> np.ndarray[Any, Any]:
    """Map a file and compare it with what the header says of it."""
    path = folder / f"{name}.npy"
    known = isinstance(entry, dict) and isinstance(entry.get("shape"), list)
    if not known or not name.replace("_", "").isalnum():
        raise FormatError(f"{folder / HEADER} is damaged: what it says of {name!r} is no entry")
    if not path.is_file():
        raise FormatError(f"{path} is missing")
    size = path.stat().st_size
    if size != entry.get("bytes"):
        raise FormatError(f"{path} is damaged: {size} bytes where {entry.get('bytes')} are due")
    try:
        # An empty file cannot be mapped.
        mapping = None if 0 in entry["shape"] else mode
        array: np.ndarray[Any, Any] = np.load(path, mmap_mode=mapping, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise FormatError(f"{path} is damaged: {error}") from None
    if list(array.shape) != entry.get("shape") or array.dtype.name != entry.get("dtype"):
        raise FormatError(f"{path} holds {array.dtype} {array.shape}, not what the header says")
    return array
