"""A cell as a piece of work that can be handed to another process, and its result on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.reporting import EventLog, Run, read_events
from benchmarks.running.plan import Cell
from benchmarks.suites import Suite
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

    suite: Suite
    cell: Cell
    folder: Path
    settings: dict[str, Any]
    environment: dict[str, Any]


def read_result(folder: Path) -> Run | None:
    """The result of a finished cell; None while it is not finished.

    Raises:
        FormatError: The file is damaged.
    """
    file = folder / "result.json"
    if not file.is_file():
        return None
    try:
        return Run.model_validate_json(file.read_text(encoding="utf-8"))
    except ValueError as error:  # not UTF-8, not JSON, or not a run
        raise FormatError(f"{file} is damaged; delete {folder} to run this cell again") from error


def complete_log(folder: Path, run: Run) -> None:
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


def end_event(run: Run, iteration: int, folder: Path) -> dict[str, Any]:
    """The last event of a cell.

    Args:
        run: Its result.
        iteration: Steps taken.
        folder: The cell's folder.
    """
    memory = "memory.safetensors"
    return {
        "event": "end",
        "iteration": iteration,
        "result": run.model_dump(mode="json"),
        "artifacts": {"memory": memory} if (folder / memory).is_file() else {},
    }
