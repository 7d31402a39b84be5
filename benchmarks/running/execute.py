"""One cell with its wandb run beside it."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from benchmarks.reporting.events import Sink
from benchmarks.reporting.results import BaseResults, write_text_atomically
from benchmarks.running.failures import disk_errors
from benchmarks.running.kind import kind_of
from benchmarks.running.task import CellTask

MARK = "wandb.json"
"""File in a cell's folder that says where its wandb run went."""


@dataclass(frozen=True)
class WandB:
    """How cells are shown on wandb.

    Attributes:
        mode: `"online"`: while they run; `"offline"`: written when they are finished.
        project: The wandb project.
    """

    mode: Literal["online", "offline"]
    project: str = "clcore"

    def summarise(self, folder: Path, results: BaseResults) -> None:
        """Make the run with the table across all methods; failures are logged, not raised."""
        from benchmarks.reporting.wandb_summary import summary

        if getattr(results, "runs", None):
            summary(folder, mode=self.mode, project=self.project)


def needs_wandb(folder: Path) -> bool:
    """Whether a cell has not been shown on wandb yet."""
    return not (folder / MARK).is_file()


def execute(task: CellTask, wandb: WandB | None, on_progress: Callable[[float], None]) -> None:
    """Run a cell and show it on wandb.

    Args:
        task: The cell; one that is finished is only shown.
        wandb: How; None not to.
        on_progress: Called now and then with the share that is done.

    Raises:
        ClcoreError: See `Kind.run_cell`. What goes wrong with wandb is logged and stops nothing.
    """
    try:
        _execute(task, wandb, on_progress)
    finally:
        # A strategy of Avalanche is part of cycles and holds the cell's images; left to itself the
        # collector comes round long after several of them have filled the memory.
        gc.collect()


def _execute(task: CellTask, wandb: WandB | None, on_progress: Callable[[float], None]) -> None:
    kind = kind_of(task.suite.kind)
    if wandb is None:
        kind.run_cell(task, on_progress, None)
        return
    from benchmarks.reporting.wandb_sink import WandBSink, feed, live

    followers: list[WandBSink] = []

    def follow() -> Sink:
        followers.append(live(task.folder, mode=wandb.mode, project=wandb.project))
        return followers[0]

    try:
        kind.run_cell(task, on_progress, follow if wandb.mode == "online" else None)
    except BaseException:
        for follower in followers:
            follower.close(exit_code=1)
        raise
    if followers:
        fed = None if followers[0].failed else followers[0].fed
    else:
        fed = feed(task.folder, mode=wandb.mode, project=wandb.project)
    if fed is not None:
        record = {**asdict(fed), "folder": None if fed.folder is None else str(fed.folder.name)}
        with disk_errors(task.folder):
            write_text_atomically(task.folder / MARK, json.dumps(record) + "\n")
