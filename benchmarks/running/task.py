"""A cell as a piece of work that can be handed to another process, and its result on disk."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, overload

from benchmarks.reporting import EventLog, Run, read_events
from benchmarks.reporting.events import SCHEMA
from benchmarks.reporting.results import Record, write_text_atomically
from benchmarks.running.plan import AnyCell
from benchmarks.suites import AnySuite
from clcore.errors import FormatError


@dataclass(frozen=True)
class CellTask:
    """All that a process needs to run a cell.

    Attributes:
        suite: The suite.
        cell: Which of its cells.
        folder: The cell's folder; made where missing.
        settings: The suite's settings as plain values, for the record.
        environment: Description of the machine, for the record.
    """

    suite: AnySuite
    cell: AnyCell
    folder: Path
    settings: dict[str, Any]
    environment: dict[str, Any]


R = TypeVar("R", bound=Record)


@overload
def read_result(folder: Path) -> Run | None: ...
@overload
def read_result(folder: Path, kind: type[R]) -> R | None: ...
def read_result(folder: Path, kind: type[Any] = Run) -> Any:
    """The result of a finished cell; None while it is not finished.

    Args:
        folder: The cell's folder.
        kind: Class of the result.

    Raises:
        FormatError: The file is damaged.
    """
    file = folder / "result.json"
    if not file.is_file():
        return None
    try:
        return kind.model_validate_json(file.read_text(encoding="utf-8"))
    except ValueError as error:  # not UTF-8, not JSON, or not a run
        raise FormatError(f"{file} is damaged; delete {folder} to run this cell again") from error


def complete_log(folder: Path, run: Record) -> None:
    """Write the `end` event of a finished cell, should its process have been killed before it.

    Args:
        folder: The cell's folder.
        run: Its result.
    """
    file = folder / "events.jsonl"
    if file.is_file():
        events = read_events(file)
        if events and events[-1]["event"] != "end":
            with EventLog(file) as log:
                log.write(end_event(run, events[-1].get("iteration", 0), folder))


def start_event(task: CellTask, **facts: Any) -> dict[str, Any]:
    """The first event of a cell.

    Args:
        task: The cell.
        **facts: What its kind of suite says besides: method, seed and the like.
    """
    return {
        "event": "start",
        "schema": SCHEMA,
        "suite": task.suite.name,
        "kind": task.suite.kind,
        "cell": task.cell.name,
        **facts,
        "settings": task.settings,
        "environment": task.environment,
    }


def write_end(log: EventLog, folder: Path, run: R, iteration: int) -> R:
    """Write a cell's result and its last event.

    Args:
        log: The cell's event log.
        folder: The cell's folder.
        run: Its result.
        iteration: Steps taken.

    Returns:
        The result.
    """
    # The result first: who reads the `end` event finds it.
    record = json.dumps(run.model_dump(mode="json"), indent=1)
    write_text_atomically(folder / "result.json", record + "\n")
    log.write(end_event(run, iteration, folder))
    return run


def end_event(run: Record, iteration: int, folder: Path) -> dict[str, Any]:
    """The last event of a cell.

    Args:
        run: Its result.
        iteration: Steps taken.
        folder: The cell's folder.
    """
    kept = {kind: f"{kind}.safetensors" for kind in ("memory", "coreset")}
    return {
        "event": "end",
        "iteration": iteration,
        "result": run.model_dump(mode="json"),
        "artifacts": {kind: name for kind, name in kept.items() if (folder / name).is_file()},
    }
