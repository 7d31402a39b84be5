"""Runs one cell of a generative suite, from its settings or where it was left, to its result."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from benchmarks.generative.course import Course
from benchmarks.generative.plan import GenerativeCell
from benchmarks.generative.record import GenerativeRun
from benchmarks.generative.suite import GenerativeSuite
from benchmarks.generative.training import Training
from benchmarks.reporting.events import EventLog, Sink
from benchmarks.running.failures import disk_errors
from benchmarks.running.reproducible import reproducible
from benchmarks.running.task import CellTask, read_result, start_event, write_end
from clcore.guard import guard


def run_cell(
    task: CellTask,
    on_progress: Callable[[float], None],
    follow: Callable[[], Sink] | None = None,
) -> GenerativeRun:
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
    suite, cell = task.suite, task.cell
    assert isinstance(suite, GenerativeSuite)
    assert isinstance(cell, GenerativeCell)
    with guard(), reproducible(suite.threads), disk_errors(task.folder):
        task.folder.mkdir(parents=True, exist_ok=True)
        finished = read_result(task.folder, GenerativeRun)
        if finished is not None:
            return finished
        return _run(task, suite, cell, on_progress, follow)


def _run(
    task: CellTask,
    suite: GenerativeSuite,
    cell: GenerativeCell,
    on_progress: Callable[[float], None],
    follow: Callable[[], Sink] | None,
) -> GenerativeRun:
    events = task.folder / "events.jsonl"
    checkpoint = task.folder / "checkpoint"
    resumed = (checkpoint / "state.json").is_file() and events.is_file()
    if not resumed:
        shutil.rmtree(checkpoint, ignore_errors=True)
        events.unlink(missing_ok=True)
    with EventLog(events) as log:
        course = Course(log, suite, cell)
        training = Training(suite, cell, course, task.folder, on_progress)
        if resumed:
            training.resume()
            log.write({"event": "resume", "iteration": training.steps})
        else:
            start = {"method": cell.method, "batch_size": cell.batch_size, "seed": cell.seed}
            log.write(start_event(task, **start))
        if follow is not None:
            log.sinks.append(follow())
        run = training.run()
        write_end(log, task.folder, run, training.steps)
    shutil.rmtree(checkpoint, ignore_errors=True)
    return run
