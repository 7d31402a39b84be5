"""Runs a suite: every cell, in this process or in several, resumable at any moment."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial
from typing import Protocol

from benchmarks.environment import differences
from benchmarks.reporting.html import write_report
from benchmarks.reporting.results import BaseResults, Record, write_text_atomically
from benchmarks.running.execute import WandB, execute, needs_wandb
from benchmarks.running.failures import RunError, disk_errors
from benchmarks.running.folder import RunFolder, surroundings
from benchmarks.running.plan import AnyCell
from benchmarks.running.task import CellTask, complete_log, read_result
from benchmarks.running.workers import run_in_workers
from clcore.errors import ArgumentError, ClcoreError

logger = logging.getLogger(__name__)


class Listener(Protocol):
    """Somebody who watches a run, such as the command line's progress bar."""

    def begin(self, cells: list[AnyCell], finished: list[AnyCell]) -> None:
        """All cells of the run, and those that an earlier run has finished."""

    def started(self, cell: AnyCell) -> None:
        """A cell begins or goes on."""

    def progress(self, cell: AnyCell, share: float) -> None:
        """The share of a cell that is done."""

    def done(self, cell: AnyCell, run: Record) -> None:
        """A cell is finished and on disk."""

    def failed(self, cell: AnyCell, reason: str) -> None:
        """A cell could not be run."""


class Silent:
    """A listener that does nothing."""

    def begin(self, cells: list[AnyCell], finished: list[AnyCell]) -> None:
        """Do nothing."""

    def started(self, cell: AnyCell) -> None:
        """Do nothing."""

    def progress(self, cell: AnyCell, share: float) -> None:
        """Do nothing."""

    def done(self, cell: AnyCell, run: Record) -> None:
        """Do nothing."""

    def failed(self, cell: AnyCell, reason: str) -> None:
        """Do nothing."""


def run(
    folder: RunFolder,
    *,
    workers: int = 1,
    wandb: WandB | None = None,
    listener: Listener | None = None,
) -> BaseResults:
    """Run all cells of a run that are not finished, then write table and report.

    Each cell's checkpoint is written after each experience, so a run that is interrupted, killed
    or out of disk continues there, with the same results as an unbroken one: bit for bit on one
    machine, measured seconds aside.

    Args:
        folder: From `folder.create` or `folder.reopen`.
        workers: Processes; 1 runs the cells in this one. How many does not change the results.
        wandb: How to feed wandb; None not to.
        listener: Told what happens.

    Returns:
        The results of all cells; also in `results.json`, with `table.md` and `report.html`.

    Raises:
        ArgumentError: `workers` is not positive, or the suite can't be run.
        DataUnavailableError: The data set is not in the cache.
        RunError: Cells failed, a worker died, or the disk is full. What was finished is kept.
        KeyboardInterrupt: Passed on after `results.json` was written with what is finished.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ArgumentError(f"workers: got {workers!r}; a positive number is needed")
    listener = Silent() if listener is None else listener
    folder.kind.check(folder.suite)
    # Missing data is said once, here, and not by every worker.
    folder.kind.require(folder.suite)
    folder.kind.check_cells(folder.suite, folder.cells)
    _compare_environment(folder)
    tasks = [
        CellTask(folder.suite, cell, folder.cell_folder(cell), folder.settings, folder.environment)
        for cell in folder.cells
    ]
    finished = []
    for task in tasks:
        result = read_result(task.folder, folder.kind.run)
        if result is not None:
            finished.append(task)
            with disk_errors(task.folder):
                complete_log(task.folder, result)
    listener.begin(folder.cells, [task.cell for task in finished])
    todo = [t for t in tasks if t not in finished or (wandb and needs_wandb(t.folder))]
    failures: list[tuple[AnyCell, str]] = []
    try:
        _run_cells(folder, todo, workers, wandb, listener, finished, failures)
    finally:
        # Also on the way out of an interruption: what is finished can be looked at.
        if folder.finished():
            folder.write_results()
    if failures:
        raise RunError(_describe(failures, len(tasks)))
    return finish(folder, wandb)


def finish(folder: RunFolder, wandb: WandB | None = None) -> BaseResults:
    """Write `results.json`, `table.md` and `report.html`, and wandb's summary."""
    results = folder.write_results()
    with disk_errors(folder.path):
        write_text_atomically(folder.path / "table.md", folder.kind.markdown_table(results))
        write_report(folder.path)
    if wandb is not None:
        wandb.summarise(folder.path, results)
    return results


def _run_cells(
    folder: RunFolder,
    todo: Iterable[CellTask],
    workers: int,
    wandb: WandB | None,
    listener: Listener,
    finished: list[CellTask],
    failures: list[tuple[AnyCell, str]],
) -> None:
    def done(task: CellTask) -> None:
        run = read_result(task.folder, folder.kind.run)
        if run is None:
            raise RunError(f"{task.cell.name} ended without a result")
        folder.write_results()
        if task not in finished:  # else it was only shown on wandb
            listener.done(task.cell, run)

    def failed(task: CellTask, reason: str) -> None:
        failures.append((task.cell, reason))
        listener.failed(task.cell, reason)

    tasks = list(todo)
    if workers > 1 and len(tasks) > 1:
        run_in_workers(
            tasks,
            workers,
            wandb,
            on_start=lambda task: listener.started(task.cell),
            on_progress=lambda task, share: listener.progress(task.cell, share),
            on_done=done,
            on_failed=failed,
        )
        return
    for task in tasks:
        listener.started(task.cell)
        try:
            execute(task, wandb, partial(listener.progress, task.cell))
        except RunError:
            raise
        except ClcoreError as error:
            failed(task, str(error))
        else:
            done(task)


def _compare_environment(folder: RunFolder) -> None:
    found = differences(folder.environment, surroundings(folder.suite))
    if found and folder.finished():
        logger.warning(
            "this run was begun elsewhere, so its last bits may differ from an unbroken one: %s",
            "; ".join(found),
        )


def _describe(failures: list[tuple[AnyCell, str]], total: int) -> str:
    cell, reason = failures[0]
    if len(failures) == 1:
        return f"{cell.name} failed: {reason}; the other {total - 1} cells are finished and kept"
    names = ", ".join(cell.name for cell, _ in failures)
    same = len({reason for _, reason in failures}) == 1
    return (
        f"{len(failures)} of {total} cells failed ({names}), "
        f"{'all' if same else 'the first'} with: {reason}; the others are finished and kept"
    )
