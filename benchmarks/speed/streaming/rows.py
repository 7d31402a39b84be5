"""Rows for the disk: Gaussians around many centres, written a part at a time."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from benchmarks.speed.streaming.settings import OutOfCoreSettings
from clcore.errors import ArgumentError

_PART = 100_000
"""Rows that are made at once."""


def write_rows(folder: Path, settings: OutOfCoreSettings) -> Path:
    """Write float32 rows as one `.npy` file, in random order of the centres.

    Args:
        folder: Where to.
        settings: How many, how wide, and around how many centres.

    Returns:
        The file.

    Raises:
        ArgumentError: There is no room for it on that disk.
    """
    shape = (settings.rows, settings.columns)
    needed, free = 4 * shape[0] * shape[1], shutil.disk_usage(folder).free
    if needed > 0.95 * free:
        raise ArgumentError(
            f"rows: {settings.rows:,} rows take {needed / 1e9:.2f} GB and {free / 1e9:.2f} GB are "
            f"free in {folder}; set fewer rows, or folder to a place on another disk"
        )
    generator = np.random.default_rng(settings.seed)
    centres = settings.apart * generator.standard_normal((settings.centres, shape[1]))
    path = folder / "rows.npy"
    table = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    for start in range(0, settings.rows, _PART):
        count = min(_PART, settings.rows - start)
        part = generator.standard_normal((count, shape[1]), dtype=np.float32)
        part += centres[generator.integers(settings.centres, size=count)].astype(np.float32)
        table[start : start + count] = part
    table.flush()
    del table
    return path
