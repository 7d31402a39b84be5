"""Runs one cell of an offline suite, from its settings or from where it was left, to its result."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.offline.plan import OfflineCell
from benchmarks.offline.record import OfflineRun
from benchmarks.offline.suite import OfflineSuite
from benchmarks.reporting.events import EventLog, Sink
from benchmarks.running.failures import disk_errors
from benchmarks.running.reproducible import reproducible
from benchmarks.running.task import CellTask, read_result, start_event
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
            start_event(
                task,
                method=cell.method,
                fraction=cell.fraction,
                optimizer=cell.optimizer,
                seed=cell.seed,
                classes=len(classes),
                class_names=list(classes),
            )
        )
    if follow is not None:
        log.sinks.append(follow())
