"""Runs one cell of an offline suite, from its settings or from where it was left, to its result."""

from __future__ import annotations

import json
from collections.abc import Callable

from benchmarks.offline.plan import OfflineCell
from benchmarks.offline.record import OfflineRun
from benchmarks.offline.suite import OfflineSuite
from benchmarks.reporting.events import SCHEMA as EVENT_SCHEMA
from benchmarks.reporting.events import EventLog, Sink
from benchmarks.reporting.results import write_text_atomically
from benchmarks.running.failures import disk_errors
from benchmarks.running.reproducible import reproducible
from benchmarks.running.task import CellTask, end_event, read_result
from clcore.guard import guard


def run_cell(
    task: CellTask,
    on_progress: Callable[[float], None],
    follow: Callable[[], Sink] | None = None,
) -> OfflineRun:
    """Run a cell, or what is left of it.

    Args:
        task: The cell.
        on_progress: Called now and then with the share that is done.
        follow: Makes something that is given the events while the cell runs; called when the log
            holds the first of them.

    Returns:
        The result, which is also in `result.json` in the cell's folder.

    Raises:
        ClcoreError: The cell can't be run, or what an earlier run left is damaged.
        DiskError: Something could not be written; what was finished before is kept.
    """
    suite = task.suite
    assert isinstance(suite, OfflineSuite)
    with guard(), reproducible(suite.threads), disk_errors(task.folder):
        task.folder.mkdir(parents=True, exist_ok=True)
        finished = read_result(task.folder, OfflineRun)
        if finished is not None:
            return finished
        if suite.learner == "convex":
            from benchmarks.offline.convex import run_convex_cell

            return run_convex_cell(task, on_progress, follow)
        from benchmarks.offline.network import run_network_cell

        return run_network_cell(task, on_progress, follow)


def begin(
    log: EventLog,
    task: CellTask,
    follow: Callable[[], Sink] | None,
    *,
    classes: tuple[str, ...],
    iteration: int | None = None,
) -> None:
    """Write the first event of a cell, or that it goes on, and let a follower in.

    Args:
        log: The cell's event log.
        task: The cell.
        follow: See `run_cell`.
        classes: Names of the classes.
        iteration: Steps done by an earlier run; None for a cell that begins.
    """
    cell = task.cell
    assert isinstance(cell, OfflineCell)
    if iteration is not None:
        log.write({"event": "resume", "iteration": iteration})
    else:
        log.write(
            {
                "event": "start",
                "schema": EVENT_SCHEMA,
                "suite": task.suite.name,
                "kind": task.suite.kind,
                "method": cell.method,
                "fraction": cell.fraction,
                "optimizer": cell.optimizer,
                "seed": cell.seed,
                "cell": cell.name,
                "classes": len(classes),
                "class_names": list(classes),
                "settings": task.settings,
                "environment": task.environment,
            }
        )
    if follow is not None:
        log.sinks.append(follow())


def end(log: EventLog, task: CellTask, run: OfflineRun, iteration: int) -> OfflineRun:
    """Write a cell's result and its last event.

    Args:
        log: The cell's event log.
        task: The cell.
        run: Its result.
        iteration: Steps done.
    """
    # The result first: who reads the `end` event finds it.
    record = json.dumps(run.model_dump(mode="json"), indent=1)
    write_text_atomically(task.folder / "result.json", record + "\n")
    log.write(end_event(run, iteration, task.folder))
    return run
