"""The selection engine beside its peers: the same arrays, the same objective, one process each.

The rows, who takes part and how it is measured: `benchmarks/speed/side_by_side`. How to read the
table: docs/speed-engine.md.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.speed.side_by_side.catalogue import chosen
from benchmarks.speed.side_by_side.contest import Contest
from benchmarks.speed.side_by_side.outcome import Outcome
from benchmarks.speed.side_by_side.row import Row
from benchmarks.speed.side_by_side.table import (
    as_json,
    goals,
    line,
    machine,
    machine_line,
    markdown,
)
from clcore.errors import ArgumentError

LIMIT = 120.0
"""Wall seconds after which a contestant is stopped."""


def report(
    out: Path | None = None,
    *,
    quick: bool = False,
    rows: Sequence[str] = (),
    limit: float = LIMIT,
    show: Callable[[str], None] = print,
) -> int:
    """Run rows and show their table.

    Args:
        out: Where to write the figures as JSON, if wanted; it is written anew after each row.
        quick: The short list of rows, with fewer rounds.
        rows: Parts of row names; none for the default list.
        limit: Wall seconds after which a contestant is stopped.
        show: Called with each line of text to show.

    Returns:
        The exit status, 0.

    Raises:
        UnknownNameError: No row's name contains one of `rows`.
        ArgumentError: The limit is not positive.
    """
    if not limit > 0:
        raise ArgumentError(f"limit must be a positive number of seconds, not {limit:g}")
    to_run, left_out = chosen(rows, quick=quick)
    done: list[tuple[Row, dict[str, Outcome]]] = []
    with tempfile.TemporaryDirectory(prefix="clcore-speed-") as folder:
        contest = Contest(
            Path(folder), limit=limit, seconds=2.0 if quick else 8.0, left_out=left_out
        )
        for number, row in enumerate(to_run, start=1):
            show(f"[{number}/{len(to_run)}] {row.title}  ({row.name})")
            outcomes: dict[str, Outcome] = {}
            for outcome in contest.run(row):
                outcomes[outcome.name] = outcome
                show(line(row, next(iter(outcomes.values())), outcome))
            if row.goals:
                show(f"  goals: {goals(row, outcomes)}")
            done.append((row, outcomes))
            if out is not None:
                _write(out, done)
    show("")
    show(markdown(done))
    show("")
    show(machine_line())
    return 0


def _write(out: Path, done: Sequence[tuple[Row, dict[str, Outcome]]]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    written = {"group": "engine", "machine": machine(), "rows": as_json(done)}
    out.write_text(json.dumps(written, indent=1) + "\n")
