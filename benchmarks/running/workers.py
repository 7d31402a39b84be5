"""Cells in parallel processes.

Each worker is a fresh interpreter with its own thread limit. A worker talks to its parent through
one pipe; when the parent dies, the pipe breaks and the worker ends. Work is saved as it goes, so
a worker may be ended at any moment.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from benchmarks.running.execute import WandB, execute
from benchmarks.running.failures import DiskError, RunError
from benchmarks.running.task import CellTask
from clcore.errors import ClcoreError

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

Message = tuple[str, Any]
"""("progress", share), ("note", log record), ("done", None), ("failed" or "disk", sentence)."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: Connection[Any, Any]
    task: CellTask | None = None


def run_in_workers(
    tasks: Sequence[CellTask],
    count: int,
    wandb: WandB | None,
    *,
    on_start: Callable[[CellTask], None],
    on_progress: Callable[[CellTask, float], None],
    on_done: Callable[[CellTask], None],
    on_failed: Callable[[CellTask, str], None],
) -> None:
    """Run cells in `count` processes; returns when all are done or have failed.

    Args:
        tasks: The cells.
        count: Processes; no more than cells are started.
        wandb: How to feed wandb; None not to.
        on_start: Called when a worker takes a cell.
        on_progress: Called with the share of a cell that is done.
        on_done: Called when a cell's results are on disk.
        on_failed: Called with one sentence when a cell could not be run; the others go on.

    Raises:
        DiskError: Something could not be written; the workers have been ended.
        RunError: A worker died; the others have been ended.
        KeyboardInterrupt: Passed on after the workers have been ended.
    """
    queue = list(tasks)
    threads = max((task.suite.threads for task in queue), default=1)
    workers = [_start(threads, wandb) for _ in range(min(count, len(queue)))]
    try:
        for worker in workers:
            _hand_out(worker, queue, on_start)
        while busy := [worker for worker in workers if worker.task is not None]:
            for ready in wait([worker.pipe for worker in busy], timeout=1.0):
                worker = next(worker for worker in busy if worker.pipe is ready)
                _receive(worker, queue, on_start, on_progress, on_done, on_failed)
    finally:
        for worker in workers:
            _end(worker)


def _start(threads: int, wandb: WandB | None) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    # Read by the numerical libraries when they are loaded, which is before our code runs.
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    try:
        process = context.Process(target=_work, args=(theirs, wandb), daemon=True)
        process.start()
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
    theirs.close()
    return _Worker(process, ours)


def _hand_out(worker: _Worker, queue: list[CellTask], on_start: Callable[[CellTask], None]) -> None:
    worker.task = queue.pop(0) if queue else None
    if worker.task is not None:
        on_start(worker.task)
    try:
        worker.pipe.send(worker.task)
    except (BrokenPipeError, OSError) as error:
        raise _died(worker) from error


def _receive(
    worker: _Worker,
    queue: list[CellTask],
    on_start: Callable[[CellTask], None],
    on_progress: Callable[[CellTask, float], None],
    on_done: Callable[[CellTask], None],
    on_failed: Callable[[CellTask, str], None],
) -> None:
    task = worker.task
    assert task is not None
    try:
        kind, content = worker.pipe.recv()
    except (EOFError, OSError) as error:
        raise _died(worker) from error
    if kind == "progress":
        on_progress(task, content)
        return
    if kind == "note":
        name, level, text = content
        logging.getLogger(name).log(level, "%s", text)
        return
    if kind == "disk":
        raise DiskError(content)
    if kind == "done":
        on_done(task)
    else:
        on_failed(task, content)
    _hand_out(worker, queue, on_start)


def _died(worker: _Worker) -> RunError:
    worker.process.join(timeout=5)
    code = worker.process.exitcode
    if code is None:
        how = "stopped answering"
    elif code < 0:
        how = f"was ended by {signal.Signals(-code).name}"
        if -code == signal.SIGKILL:
            how += " (often: out of memory; try fewer workers)"
    else:
        how = f"failed with exit code {code} (see its output above)"
    cell = worker.task.cell.name if worker.task else "no cell"
    return RunError(f"the worker process that ran {cell} {how}")


def _end(worker: _Worker) -> None:
    worker.pipe.close()
    # An idle worker ends by itself when its pipe closes; a busy one is not waited for.
    if worker.task is not None:
        worker.process.terminate()
    worker.process.join(timeout=10)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()


def _work(pipe: Connection[Any, Any], wandb: WandB | None) -> None:
    """Run cells until there are no more, or until the parent is gone."""
    # Ctrl-C goes to the whole group; the parent decides what happens then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    warnings.filterwarnings("ignore", message="no QP solver found")  # of Avalanche's imports
    logging.getLogger().addHandler(_Notes(pipe))
    try:
        while (task := pipe.recv()) is not None:
            pipe.send(_outcome(task, wandb, pipe))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


class _Notes(logging.Handler):
    """Hands log records to the parent, who knows where to show them."""

    def __init__(self, pipe: Connection[Any, Any]) -> None:
        super().__init__(logging.WARNING)
        self.pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        self.pipe.send(("note", (record.name, record.levelno, record.getMessage())))


def _outcome(task: CellTask, wandb: WandB | None, pipe: Connection[Any, Any]) -> Message:
    def progress(share: float) -> None:
        pipe.send(("progress", share))

    try:
        execute(task, wandb, progress)
    except DiskError as error:
        return "disk", str(error)
    except ClcoreError as error:
        return "failed", str(error)
    return "done", None
