"""What each process does: joins the others, warms up on a few rows, then selects with a clock.

Started as `python -m benchmarks.speed.streaming.worker JOB`, with the environment of `torchrun`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import torch

from benchmarks.settings import from_plain, to_plain
from benchmarks.speed.side_by_side.memory import PeakMemory
from benchmarks.speed.streaming.settings import OutOfCoreSettings
from benchmarks.speed.streaming.works import WORKS
from clcore.distributed import Group, Shards

_WARM = 2_000
"""Rows of the untimed call, in which loops are compiled."""


def main(path: Path) -> None:
    """Do the job, and write the figures of this process beside it.

    Args:
        path: JSON: `work`, `rows` (a file) and `settings`.
    """
    job: dict[str, Any] = json.loads(path.read_text())
    settings = from_plain(OutOfCoreSettings, job["settings"])
    work = WORKS[job["work"]]
    torch.set_num_threads(1)
    group = Group.join(timeout=settings.limit)
    _warm_up(work.run, group, settings)
    shards = Shards(features=job["rows"])
    held = psutil.Process().memory_info().rss
    group.exchange(dict)  # all begin together
    wall, cpu = time.perf_counter(), time.process_time()
    with PeakMemory() as peak:
        report = work.run(shards, group, settings)
    figures = {
        "cpu": time.process_time() - cpu,
        "wall": time.perf_counter() - wall,
        "peak_bytes": held + peak.bytes,
        "report": dict(report),
    }
    path.with_name(f"figures-{group.rank}.json").write_text(json.dumps(figures))
    _part(group)


def _part(group: Group) -> None:
    """Leave the others in order: gloo's threads now and then abort an interpreter that just ends.

    ("terminate called without an active exception", one process in a hundred.)
    """
    group.exchange(dict)
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _warm_up(run: Any, group: Group, settings: OutOfCoreSettings) -> None:
    """Run the work once on a few rows, with picks that fit them."""
    generator = torch.Generator().manual_seed(0)
    few = torch.randn(_WARM, settings.columns, generator=generator)
    small: dict[str, Any] = {"rows": _WARM, "picks": 20, "tree_picks": 20, "per_part": 20}
    plain = {**to_plain(settings), **small}
    run(Shards(features=few), group, from_plain(OutOfCoreSettings, plain))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
