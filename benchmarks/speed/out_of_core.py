"""Rows that are not in memory: selections by several processes that read them from the disk.

`--set rows=10000000 --set tree_picks=10000` is the table of docs/distributed.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.speed.parts import run_parts
from benchmarks.speed.streaming.selections import selections
from benchmarks.speed.streaming.settings import OutOfCoreSettings

SETTINGS = OutOfCoreSettings()
QUICK = replace(SETTINGS, rows=200_000, picks=500, tree_picks=1_000, repeats=1)


def report(
    out: Path | None = None,
    *,
    quick: bool = False,
    assignments: Sequence[str] = (),
    show: Callable[[str], None] = print,
) -> int:
    """Measure the selections and show their table.

    Args:
        out: Where to write the figures as JSON, if wanted.
        quick: Fewer rows and one round.
        assignments: `key=value` texts of `OutOfCoreSettings`.
        show: Called with each line of text to show.

    Returns:
        The exit status, 0.

    Raises:
        ArgumentError: A setting is wrong, or the disk has no room.
        WorkerError: A process failed or took too long.
    """
    settings = QUICK if quick else SETTINGS
    parts = {"selections": selections}
    return run_parts("out-of-core", parts, settings, assignments, out, show)
