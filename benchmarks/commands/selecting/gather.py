"""Brings the candidates together: features, labels, groups and signals from their files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.commands.selecting.columns import Keys, keys, named, numbers, whole_numbers
from benchmarks.commands.selecting.files import KINDS, Arrays, Folder, open_arrays
from benchmarks.commands.selecting.request import Request
from clcore import Pool
from clcore.errors import ArgumentError, FormatError, SignalError
from clcore.pool import row_indices


@dataclass(frozen=True)
class Candidates:
    """A pool, and what its labels and groups are called.

    Attributes:
        pool: The candidates.
        labels: None where there are none.
        groups: None where there are none.
        given: int64 `[g]`: rows taken already.
    """

    pool: Pool
    labels: Keys | None
    groups: Keys | None
    given: Tensor


def gather(request: Request, *, needs_features: bool) -> Candidates:
    """Read everything that a selection needs.

    Args:
        request: What was asked for.
        needs_features: Whether the method, or a picture, can't do without features.

    Returns:
        The candidates, checked.

    Raises:
        ArgumentError: A file or a name in it is not there, or the rows do not agree.
        FormatError: A file is damaged or holds something else.
        SignalError: A signal holds NaN or infinity; names file, signal and row.
    """
    arrays = open_arrays(request.features)
    columns: dict[str, Any] = {
        "labels": _keys("labels", request.labels, arrays),
        "groups": _keys("groups", request.groups, arrays),
    }
    labels, groups = columns["labels"], columns["groups"]
    columns = {name: None if found is None else found.codes for name, found in columns.items()}
    if request.weights is not None:
        found, what = _find("weights", request.weights, arrays)
        columns["weights"] = numbers(what, found)
    if isinstance(arrays, Folder):
        if request.signals:
            raise ArgumentError(f"--signal: the folder {arrays.path} brings its signals itself")
        pool = Pool.open(request.features, **columns)
    else:
        pool = _pool(request, arrays, columns, needs_features=needs_features)
    if len(pool) == 0:
        raise FormatError(f"{request.features}: has no rows")
    if needs_features and not pool.has("features"):
        raise ArgumentError(f"{request.features}: has no features, which are needed here")
    return Candidates(pool, labels, groups, _given(request.given, len(pool)))


def _pool(
    request: Request, arrays: Arrays, columns: dict[str, Any], *, needs_features: bool
) -> Pool:
    wanted = _wanted(request)
    signals = {name: _signal(name, where, arrays) for name, where in wanted.items()}
    if needs_features or request.key in arrays.names or "" in arrays.names or not wanted:
        used = {request.labels, request.groups, request.weights, *wanted.values()}
        found = arrays.features(request.key, {name for name in used if name is not None})
        signals = {"features": _matrix(request.features, found), **signals}
    try:
        return Pool(**columns, **signals)
    except SignalError as error:
        raise SignalError(f"{request.features}: {error}{_overflow(str(error), signals)}") from error


def _wanted(request: Request) -> dict[str, str]:
    """Return where each further signal is, by name."""
    wanted: dict[str, str] = {}
    for text in request.signals:
        name, equals, where = (part.strip() for part in text.partition("="))
        name = name.replace("-", "_")
        if not equals or not where or not name.isidentifier():
            raise ArgumentError(f"--signal: got {text!r}; name=NAME-OR-FILE is needed")
        if name in ("features", "labels", "groups", "weights"):
            raise ArgumentError(f"--signal: {name} have an option of their own")
        if name in wanted:
            raise ArgumentError(f"--signal: {name!r} is given twice")
        wanted[name] = where
    return wanted


def _find(role: str, where: str, arrays: Arrays) -> tuple[Any, str]:
    """Find an array in the file of the features, or in one of its own: `FILE` or `FILE:NAME`."""
    option = f"--{role}" if role in ("labels", "groups", "weights") else f"--signal {role}"
    if where in arrays.names:
        return arrays.read(where), f"{arrays.path}: {where!r}"
    file, _, name = where.rpartition(":")
    if not file or not Path(file).exists():
        file, name = where, ""
    path = Path(file)
    if path.suffix.lower() in KINDS or path.is_dir():
        own = open_arrays(path)
        return own.find(name or role, otherwise=None if name else f"{option} {file}:NAME"), where
    raise ArgumentError(
        f"{option}: {arrays.path} has no {arrays.word} {where!r}; it has: "
        f"{named(name or 'one without a name' for name in arrays.names)}; or give a file "
        f"({', '.join(KINDS)})"
    )


def _signal(name: str, where: str, arrays: Arrays) -> Any:
    found, what = _find(name, where, arrays)
    return numbers(what, found)


def _keys(role: str, where: str | None, arrays: Arrays) -> Keys | None:
    if where is None and isinstance(arrays, Folder) and role in arrays.names:
        where = role
    if where is None:
        return None
    found, what = _find(role, where, arrays)
    return keys(what, found)


def _matrix(path: Path, values: Any) -> Any:
    found = numbers(f"{path}: features", values)
    if found.ndim < 2:
        raise FormatError(f"{path}: features have shape {list(found.shape)}; [n, d] is needed")
    return found


def _overflow(said: str, signals: dict[str, Any]) -> str:
    """Explain infinities of a type with a short range."""
    halves = [name for name, values in signals.items() if str(values.dtype).endswith("float16")]
    if "infinity" in said and any(repr(name) in said for name in halves):
        return "; float16 ends at 65504: write float32 or bfloat16 instead"
    return ""


def _given(path: Path | None, rows: int) -> Tensor:
    """Read the rows taken already: an array, a column `index`, or a coreset in JSON."""
    if path is None:
        return torch.empty(0, dtype=torch.int64)
    what = f"--given: {path}"
    if path.suffix.lower() == ".json":
        found = _picks_in_json(path)
    else:
        found = whole_numbers(what, open_arrays(path).find("index", otherwise="a column 'index'"))
    found = row_indices(what, found, rows, torch.device("cpu"))
    once, counts = torch.unique(found, return_counts=True)
    if len(once) != len(found):
        raise ArgumentError(f"{what}: names row {int(once[counts > 1][0])} twice")
    return found


def _picks_in_json(path: Path) -> Tensor:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return whole_numbers(str(path), record["indices"])
    except FileNotFoundError:
        raise ArgumentError(f"{path}: there is no such file") from None
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise FormatError(f"{path}: is no coreset written by clcore select") from error
