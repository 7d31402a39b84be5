"""The cache: one safetensors file a data set, checked by SHA-256 on every load."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from benchmarks.datasets._base import Arrays
from clcore.errors import DataUnavailableError, FormatError

_SCHEMA = "1"
_FORMAT = "clcore-images"


def data_folder(root: str | os.PathLike[str] | None = None) -> Path:
    """The folder that data sets are kept in; it need not exist yet.

    Args:
        root: A folder of the caller's choice. None: the environment variable `CLCORE_DATA` if it
            is set, else `clcore` in the platform's cache folder (`~/.cache` or `XDG_CACHE_HOME`
            on Linux, `~/Library/Caches` on macOS, `LOCALAPPDATA` on Windows).

    Returns:
        The folder.
    """
    if root is not None:
        return Path(root).expanduser()
    if named := os.environ.get("CLCORE_DATA"):
        return Path(named).expanduser()
    # Through a variable, so that the type checker looks at every branch on every platform.
    platform = str(sys.platform)
    if platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "clcore"


def cache_file(name: str, folder: Path) -> Path:
    """The file that the data set `name` has in `folder`, whether or not it is there."""
    return folder / f"{name}.safetensors"


def content_digest(arrays: Arrays) -> str:
    """SHA-256 over the names, types, shapes and bytes of the four tensors.

    Args:
        arrays: The tensors; on the CPU.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for key, tensor in arrays._asdict().items():
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy())
    return digest.hexdigest()


def write_cache(
    name: str, arrays: Arrays, classes: Sequence[str], source: str, folder: Path
) -> Path:
    """Write a data set into the cache: the old file stays whole until the new one is complete.

    Args:
        name: Registered name of the data set.
        arrays: Its tensors.
        classes: Its class names.
        source: Where it came from; kept in the file for people to read.
        folder: Cache folder; made if it is not there.

    Returns:
        The file.

    Raises:
        DataUnavailableError: If the folder cannot be written to, or the disk is full.
    """
    path = cache_file(name, folder)
    metadata = {
        "format": _FORMAT,
        "schema": _SCHEMA,
        "name": name,
        "classes": json.dumps(list(classes)),
        "sha256": content_digest(arrays),
        "source": source,
    }
    temporary: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary_name = tempfile.mkstemp(prefix=f".{name}-", dir=folder)
        os.close(handle)
        temporary = Path(temporary_name)
        tensors = {key: tensor.contiguous() for key, tensor in arrays._asdict().items()}
        save_file(tensors, temporary, metadata=metadata)
        # mkstemp makes files that only their owner may read; a shared cache folder is the rule.
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        raise DataUnavailableError(f"cannot write {name} to {path}: {error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return path


def read_cache(
    name: str, folder: Path, expected: str | None = None
) -> tuple[Arrays, tuple[str, ...]] | None:
    """Read a data set from the cache and check it.

    Args:
        name: Registered name of the data set.
        folder: Cache folder.
        expected: Digest that the content must have (`content_digest`); None: only the one that
            the file itself records.

    Returns:
        The tensors and the class names, or None when the file is not there.

    Raises:
        FormatError: If the file is truncated, altered, of another schema or of another data set.
    """
    path = cache_file(name, folder)
    if not path.is_file():
        return None
    again = f"fetch it again with `clcore data get {name} --force`"
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            found = (metadata.get("format"), metadata.get("schema"), metadata.get("name"))
            if found != (_FORMAT, _SCHEMA, name):
                raise FormatError(
                    f"{path} is not a {_FORMAT} file of schema {_SCHEMA} for {name} "
                    f"(it says {found}); {again}"
                )
            arrays = Arrays(*(file.get_tensor(key) for key in Arrays._fields))
            classes = tuple(str(entry) for entry in json.loads(metadata["classes"]))
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{path} cannot be read ({error}); {again}") from error
    digest = content_digest(arrays)
    if digest != metadata.get("sha256"):
        raise FormatError(f"{path} is damaged (its SHA-256 does not match); {again}")
    if expected is not None and digest != expected:
        raise FormatError(f"{path} does not hold {name} as published; {again}")
    return arrays, classes
