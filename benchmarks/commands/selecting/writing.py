"""Writes what was picked: all of a file or nothing of it."""

from __future__ import annotations

import importlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.running.failures import disk_errors
from clcore import Coreset
from clcore.errors import ArgumentError

TARGETS = (".json", ".csv", ".parquet")
"""Kinds of file that a coreset can be written to."""

PICTURES = (".png", ".pdf", ".svg", ".html")
"""Kinds of picture."""


def check_target(
    option: str, path: Path, kinds: tuple[str, ...], *, overwrite: bool, inputs: tuple[Path, ...]
) -> None:
    """Refuse a target that can't be written, before any work is done.

    Args:
        option: How the target was named, for the message.
        path: The file.
        kinds: Endings allowed.
        overwrite: Whether a file that exists may be replaced.
        inputs: Files that are read, and other targets: never replaced.

    Raises:
        ArgumentError: The kind is unknown, the folder is missing, or the file exists.
    """
    if path.suffix.lower() not in kinds:
        raise ArgumentError(
            f"{option}: {path.suffix or 'no ending'} is unknown; known: {', '.join(kinds)}"
        )
    if not path.parent.is_dir():
        raise ArgumentError(f"{option}: the folder {path.parent} does not exist")
    if any(path.resolve() == other.resolve() for other in inputs):
        raise ArgumentError(f"{option}: {path} is read or written under another option, too")
    if path.is_dir() or (path.exists() and not overwrite):
        raise ArgumentError(f"{option}: {path} exists; replace it with --overwrite")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Write a file under another name first, so that it is there as a whole or not at all.

    Args:
        path: Where it shall be.

    Yields:
        Where to write; the ending is the same.

    Raises:
        DiskError: It can't be written; what was there before stays.
    """
    with disk_errors(path):
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent
        )
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            # mkstemp makes private files; a result is as readable as any other file of the user.
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_coreset(path: Path, coreset: Coreset, about: Mapping[str, Any]) -> None:
    """Write a coreset, by the ending of the file's name.

    Args:
        path: `.csv` or `.parquet`: columns `index`, `rank`, `weight`, `gain`, a line a pick in
            pick order; `.json`: everything.
        coreset: The picks, in pick order.
        about: How it was made; goes into the JSON file.

    Raises:
        DiskError: The file can't be written.
    """
    writers: dict[str, Callable[[Path, Coreset, Mapping[str, Any]], None]] = {
        ".json": _json,
        ".csv": _csv,
        ".parquet": _parquet,
    }
    with whole_file(path) as temporary:
        writers[path.suffix.lower()](temporary, coreset, about)


def write_weights(path: Path, coreset: Coreset, rows: int) -> None:
    """Write one weight per row of the pool, 0 where a row was not picked.

    Args:
        path: `.npy`.
        coreset: The picks.
        rows: Size of the pool.

    Raises:
        DiskError: The file can't be written.
    """
    weights = coreset.weights.numpy()
    whole = np.zeros(rows, dtype=weights.dtype)
    whole[coreset.indices.numpy()] = weights
    with whole_file(path) as temporary:
        np.save(temporary, whole, allow_pickle=False)


def _table(coreset: Coreset) -> Any:
    columns = {
        "index": coreset.indices.numpy(),
        "rank": np.arange(len(coreset), dtype=np.int64),
        "weight": coreset.weights.numpy(),
        "gain": coreset.gains.numpy(),
    }
    return importlib.import_module("pyarrow").table(columns)


def _parquet(path: Path, coreset: Coreset, about: Mapping[str, Any]) -> None:
    importlib.import_module("pyarrow.parquet").write_table(_table(coreset), path)


def _csv(path: Path, coreset: Coreset, about: Mapping[str, Any]) -> None:
    writer = importlib.import_module("pyarrow.csv")
    table = _table(coreset)
    with open(path, "wb") as stream:
        # The writer puts names into quotes, which not every reader takes off.
        stream.write(",".join(table.column_names).encode() + b"\n")
        writer.write_csv(table, stream, writer.WriteOptions(include_header=False))


def _json(path: Path, coreset: Coreset, about: Mapping[str, Any]) -> None:
    cost = coreset.cost
    record = {
        "schema": 1,
        **about,
        "indices": coreset.indices.tolist(),
        "weights": coreset.weights.tolist(),
        "gains": coreset.gains.tolist(),
        "cost": {
            "seconds": cost.seconds,
            "forward_passes": cost.forward_passes,
            "backward_passes": cost.backward_passes,
            "distance_evaluations": cost.distance_evaluations,
        },
        "report": dict(coreset.report),
    }
    path.write_text(json.dumps(record) + "\n", encoding="utf-8")
