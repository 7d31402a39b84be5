"""Settings of the group `out-of-core`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class OutOfCoreSettings:
    """What is measured, and on how much.

    Attributes:
        parts: `selections`.
        rows: Rows on the disk, 4 bytes a number: a million of 64 take 0.26 GB, ten 2.6 GB.
        columns: Numbers of a row.
        centres: How many points the rows lie around.
        apart: Standard deviation of the centres in each coordinate; that of the rows is 1.
        processes: How many select together.
        repeats: How often each selection is timed, in turn with the others.
        picks: Of `select_farthest` and of CRAIG.
        tree_picks: Of the kd-tree; no more than its parts pick together.
        per_part: Picks a part of the kd-tree's first round.
        part_rows: The most rows that a process holds at once.
        folder: Where the rows are written for the time of the run; None: the system's folder for
            temporary files.
        limit: Wall seconds after which one selection is given up.
        seed: Of the rows.
    """

    parts: tuple[Literal["selections"], ...] = ("selections",)
    rows: Count = 1_000_000
    columns: Count = 64
    centres: Count = 1_000
    apart: Annotated[float, Field(gt=0)] = 3.0
    processes: Count = 2
    repeats: Count = 3
    picks: Count = 1_000
    tree_picks: Count = 4_000
    per_part: Count = 1_000
    part_rows: Count = 131_072
    folder: str | None = None
    limit: Annotated[float, Field(gt=0)] = 1_800.0
    seed: Annotated[int, Field(ge=0)] = 0
