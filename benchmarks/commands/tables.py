"""Reads features from files and writes coresets to files."""

from __future__ import annotations

import csv
import importlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.reporting.results import write_text_atomically
from benchmarks.running.failures import disk_errors
from clcore import Coreset
from clcore.errors import ArgumentError, FormatError

TARGETS = (".json", ".csv", ".parquet")
"""Kinds of file that a coreset can be written to."""


def read_features(path: Path, key: str, labels: str | None = None) -> dict[str, Tensor]:
    """Read features, and labels where asked for.

    Args:
        path: `.npy` (an array of numbers `[n, d]`), `.npz` or `.safetensors` (named arrays),
            `.parquet` or `.csv` (a column a dimension, with a header).
        key: Name of the features in a file of named arrays. In a table, all columns but the
            labels' are features.
        labels: Name of the labels, `[n]` integers; None for none.

    Returns:
        `features` float `[n, d]` and, where asked for, `labels` int64 `[n]`.

    Raises:
        ArgumentError: There is no such file or name in it, or the kind is unknown.
        FormatError: The file is damaged, or holds something else than numbers.
    """
    readers: dict[str, Callable[[Path], dict[str, Any]]] = {
        ".npy": _read_npy,
        ".npz": _read_npz,
        ".safetensors": _read_safetensors,
        ".parquet": _read_parquet,
        ".csv": _read_csv,
    }
    kind = path.suffix.lower()
    if kind not in readers:
        raise ArgumentError(
            f"{path}: {kind or 'no ending'} is unknown; known: {', '.join(readers)}"
        )
    if not path.is_file():
        raise ArgumentError(f"{path}: there is no such file")
    arrays = readers[kind](path)
    if labels is not None and labels not in arrays:
        raise ArgumentError(f"{path}: has no labels {labels!r}; it has: {', '.join(arrays)}")
    if kind in (".parquet", ".csv"):
        columns = [np.asarray(values) for name, values in arrays.items() if name != labels]
        if not columns:
            raise FormatError(f"{path}: has no column of features")
        found: Any = np.stack(columns, axis=1)
    elif kind == ".npy":
        found = arrays[""]
    elif key in arrays:
        found = arrays[key]
    elif len(arrays) == 1:
        found = next(iter(arrays.values()))
    else:
        raise ArgumentError(
            f"{path}: has no array {key!r}; give --key, it has: {', '.join(arrays)}"
        )
    result = {"features": _numbers(path, "features", found)}
    if labels is not None:
        result["labels"] = _whole(path, labels, arrays[labels])
    return result


def _numbers(path: Path, name: str, values: Any) -> Tensor:
    tensor = values if isinstance(values, Tensor) else _tensor(path, name, values)
    if tensor.ndim < 2:
        raise FormatError(f"{path}: {name} have shape {tuple(tensor.shape)}; [n, d] is needed")
    return tensor.flatten(1) if tensor.is_floating_point() else tensor.flatten(1).float()


def _whole(path: Path, name: str, values: Any) -> Tensor:
    tensor = values if isinstance(values, Tensor) else _tensor(path, name, values)
    if tensor.ndim != 1 or not bool((tensor == tensor.to(torch.int64)).all()):
        raise FormatError(f"{path}: labels {name!r} are not one whole number a row")
    return tensor.to(torch.int64)


def _tensor(path: Path, name: str, values: Any) -> Tensor:
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise FormatError(f"{path}: {name} are {array.dtype}, not numbers")
    if array.dtype.kind in "ui" and array.dtype.itemsize > 1:
        array = array.astype(np.int64)
    return torch.from_numpy(np.array(array))


def _read_npy(path: Path) -> dict[str, Any]:
    try:
        return {"": np.load(path, allow_pickle=False)}
    except (ValueError, EOFError, OSError) as error:
        raise FormatError(f"{path} is damaged, or no array of numbers: {error}") from error


def _read_npz(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise FormatError(f"{path} is damaged, or holds no arrays of numbers: {error}") from error


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as error:
        raise FormatError(f"{path} is damaged: {error}") from error


def _read_csv(path: Path) -> dict[str, Any]:
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            head, *rows = list(csv.reader(stream))
        columns = zip(*([float(cell) for cell in row] for row in rows), strict=True)
        return dict(zip(head, columns, strict=True))
    except (ValueError, UnicodeDecodeError, csv.Error) as error:
        raise FormatError(
            f"{path} is damaged, or no table of numbers with a header: {error}"
        ) from error


def _read_parquet(path: Path) -> dict[str, Any]:
    parquet = _pyarrow()
    try:
        table = parquet.read_table(path)
    except (ValueError, OSError) as error:  # pyarrow's errors derive from these
        raise FormatError(f"{path} is damaged, or no parquet file: {error}") from error
    return {name: table[name].to_numpy() for name in table.column_names}


def _pyarrow() -> Any:
    if find_spec("pyarrow") is None:
        raise ArgumentError("parquet files need pyarrow, which is not installed: use .npy or .csv")
    return importlib.import_module("pyarrow.parquet")


def check_target(path: Path, *, overwrite: bool) -> None:
    """Refuse a target that can't be written, before any work is done.

    Raises:
        ArgumentError: The kind is unknown, its package is missing, the folder is missing, or the
            file exists.
    """
    if path.suffix.lower() not in TARGETS:
        raise ArgumentError(
            f"--out: {path.suffix or 'no ending'} is unknown; known: {', '.join(TARGETS)}"
        )
    if path.suffix.lower() == ".parquet":
        _pyarrow()
    if not path.parent.is_dir():
        raise ArgumentError(f"--out: the folder {path.parent} does not exist")
    if path.exists() and not overwrite:
        raise ArgumentError(f"--out: {path} exists; replace it with --overwrite")


def write_coreset(path: Path, coreset: Coreset, about: Mapping[str, Any]) -> None:
    """Write a coreset, by the ending of the file's name.

    Args:
        path: `.json`: everything; `.csv` or `.parquet`: columns `index`, `weight`, `gain`.
        coreset: The picks, in pick order.
        about: How it was made; goes into the JSON file.

    Raises:
        DiskError: The file can't be written.
    """
    columns = {
        "index": coreset.indices.tolist(),
        "weight": coreset.weights.tolist(),
        "gain": coreset.gains.tolist(),
    }
    with disk_errors(path):
        if path.suffix.lower() == ".parquet":
            parquet = _pyarrow()
            table = importlib.import_module("pyarrow").table(columns)
            parquet.write_table(table, path)
            return
        if path.suffix.lower() == ".csv":
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
            write_text_atomically(path, text.getvalue())
            return
        cost = coreset.cost
        record = {
            "schema": 1,
            **about,
            "indices": columns["index"],
            "weights": columns["weight"],
            "gains": columns["gain"],
            "cost": {
                "seconds": cost.seconds,
                "forward_passes": cost.forward_passes,
                "backward_passes": cost.backward_passes,
                "distance_evaluations": cost.distance_evaluations,
            },
        }
        write_text_atomically(path, json.dumps(record) + "\n")
