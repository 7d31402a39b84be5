"""Times each selection in turn, several times over, each in processes of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.speed.figures import Column, Table, digits, seconds, times
from benchmarks.speed.repeats import Spread, Timings
from benchmarks.speed.streaming.processes import Measured, measure
from benchmarks.speed.streaming.rows import write_rows
from benchmarks.speed.streaming.settings import OutOfCoreSettings
from benchmarks.speed.streaming.works import READING, WORKS, left
from clcore.distributed import Shards
from clcore.errors import ArgumentError
from clcore.memory import available_bytes

_COPIES = 5
"""How many times the rows' own bytes a selection in memory may take."""


def selections(settings: OutOfCoreSettings) -> Iterator[Table]:
    """Write the rows, time each work in turn, and remove the rows.

    Yields:
        One table.

    Raises:
        ArgumentError: More is to be picked than there is, or the disk has no room.
        WorkerError: A process failed or took too long.
    """
    check(settings)
    folder = None if settings.folder is None else Path(settings.folder).expanduser()
    if folder is not None and not folder.is_dir():
        raise ArgumentError(f"folder: {folder} is not a folder")
    needed = 4 * _COPIES * settings.rows * settings.columns
    fits = needed <= available_bytes(torch.device("cpu"))
    names = [name for name, work in WORKS.items() if fits or not work.alone]
    taken: dict[str, list[Measured]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="clcore-speed-", dir=folder) as place:
        rows = write_rows(Path(place), settings)
        for number in range(settings.repeats):
            for name in names if number % 2 == 0 else reversed(names):
                taken[name].append(measure(name, rows, settings))
    yield _table(taken, settings, fits=fits)


def check(settings: OutOfCoreSettings) -> None:
    """Refuse what would fail only after the rows are written.

    Raises:
        ArgumentError: More is to be picked than there is.
    """
    # One number, seen as so many rows.
    shards = Shards(features=torch.zeros(1, 1).expand(settings.rows, 1))
    parts = [
        part
        for rank in range(settings.processes)
        for part in shards.parts(rank, settings.processes, settings.part_rows)
    ]
    together = sum(min(settings.per_part, stop - start) for start, stop in parts)
    for name in ("picks", "tree_picks"):
        wanted = getattr(settings, name)
        if wanted > together:
            raise ArgumentError(
                f"{name}: {wanted:,} picks are wanted, and {len(parts)} parts with "
                f"per_part={settings.per_part:,} have {together:,} candidates; set fewer picks, "
                "more per_part or more rows"
            )


def _table(taken: dict[str, list[Measured]], settings: OutOfCoreSettings, *, fits: bool) -> Table:
    timings = Timings({name: tuple(one.cpu for one in each) for name, each in taken.items()})
    lines = []
    for name, each in taken.items():
        lines.append(
            {
                "selection": WORKS[name].words.format(**vars(settings)),
                "seconds": timings.spread(name),
                "ratio": timings.ratio(name, READING),
                "wall": Spread.of(one.wall for one in each),
                "memory": max(one.peak_bytes for one in each) / 2**30,
                "left": left(each[0].report, settings.rows),
            }
        )
    size = 4 * settings.rows * settings.columns / 1e9
    often = f"median (quartiles) of {settings.repeats}" if settings.repeats > 1 else "timed once"
    notes = [
        f"Processor seconds of the slower process, {often}; "
        "memory of one process at its highest, libraries and mapped pages of the file included. "
        f"A row is {settings.columns**0.5:.1f} from its centre, two rows of one centre "
        f"{(2 * settings.columns) ** 0.5:.1f} from each other."
    ]
    if not fits:
        notes.append("One process with all rows in memory left out: they would not fit.")
    return Table(
        "selections",
        f"{settings.rows:,} × {settings.columns} float32 rows ({size:.2f} GB, one `.npy` file) "
        f"around {settings.centres:,} centres, read from the disk by {settings.processes} "
        f"process{'es' if settings.processes > 1 else ''} of one thread",
        (
            Column("selection", "selection"),
            Column("seconds", "CPU seconds", seconds),
            Column("ratio", "times reading", times),
            Column("wall", "wall seconds", seconds),
            Column("memory", "memory, GiB", digits(2)),
            Column("left", "what it left"),
        ),
        lines,
        notes,
    )
