"""`events.jsonl`: our own record of one cell, from which wandb and the report are fed.

One JSON object a line, appended while the cell runs. A killed run leaves at most one torn last
line; the reader drops it and says so.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias

from clcore.errors import ArgumentError, FormatError

logger = logging.getLogger(__name__)

SCHEMA = 1
"""The number of the event format, carried by each `start` event."""

EVENTS = (
    "start", "train", "evaluation", "memory", "selection", "point", "coreset", "end", "resume",
)  # fmt: skip
"""Names of the events that this version writes."""

Event: TypeAlias = dict[str, Any]


class Sink(Protocol):
    """Something that follows a cell while it runs, for example `WandBSink`."""

    def handle(self, event: Mapping[str, Any]) -> None:
        """Take one event, already written to disk."""
        ...


class EventLog:
    """Appends events to a file, one line each, and passes them on to sinks.

    A line is handed to the operating system in one write before any sink sees the event, so
    killing the process loses nothing but the line being written. Opening a log whose last line
    is torn removes that line first: the next one would otherwise be glued to it.

    Args:
        path: The file; it and its folder are made where missing.
        sinks: Followers, called in this order.

    Raises:
        OSError: The folder can't be made or the file can't be opened.

    Example:
        >>> import tempfile, pathlib
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> with EventLog(folder / "events.jsonl") as log:
        ...     log.write({"event": "resume", "iteration": 0, "experience": 0})
        >>> [event["event"] for event in read_events(folder)]
        ['resume']
    """

    def __init__(self, path: str | os.PathLike[str], sinks: Iterable[Sink] = ()) -> None:
        self.path = Path(path)
        self.sinks = list(sinks)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _remove_torn_line(self.path)
        # Unbuffered and in append mode: one line is one write, at the end, whoever else writes.
        self._stream = open(self.path, "ab", buffering=0)  # noqa: SIM115 - closed by close()

    def write(self, event: Mapping[str, Any]) -> None:
        """Append one event; `time` (unix seconds) is added where it is missing.

        Args:
            event: A JSON-able mapping with an `"event"` name.

        Raises:
            ArgumentError: No event name, or something that JSON can't hold (NaN included).
            OSError: The disk is full.
        """
        if not isinstance(event.get("event"), str):
            raise ArgumentError("event: needs an 'event' name, such as 'train'")
        record = {**event}
        record.setdefault("time", time.time())
        try:
            line = json.dumps(record, allow_nan=False, separators=(",", ":"))
        except (TypeError, ValueError) as error:
            raise ArgumentError(f"event {event['event']!r} is not plain JSON: {error}") from error
        data = line.encode() + b"\n"
        written = self._stream.write(data)
        while written < len(data):  # a full disk may take a part before it raises
            written += self._stream.write(data[written:])
        for sink in self.sinks:
            sink.handle(record)

    def close(self) -> None:
        """Close the file. The sinks belong to the caller."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _remove_torn_line(path: Path) -> None:
    """Cut off an unfinished last line."""
    if not path.exists():
        return
    with open(path, "r+b") as stream:
        content = stream.read()
        keep = content.rfind(b"\n") + 1
        if keep < len(content):
            logger.warning("%s: dropped a torn last line of %d bytes", path, len(content) - keep)
            stream.truncate(keep)


def events_file(path: str | os.PathLike[str]) -> Path:
    """The log that a path means: the file itself, or `events.jsonl` in a cell's folder.

    Raises:
        FormatError: There is none.
    """
    given = Path(path)
    file = given / "events.jsonl" if given.is_dir() else given
    if not file.is_file():
        raise FormatError(f"no event log at {file}")
    return file


def read_events(path: str | os.PathLike[str], *, settle: bool = True) -> list[Event]:
    """Read one cell's log.

    Args:
        path: The file, or the cell's folder that holds `events.jsonl`.
        settle: Leave out what a resumed run did again (see `settled`).

    Returns:
        The events in order. A torn last line is dropped with a logged warning.

    Raises:
        FormatError: No such file, a damaged line before the last, or another schema.
    """
    file = events_file(path)
    lines = file.read_bytes().split(b"\n")
    torn = lines.pop()  # what follows the last newline: empty unless the writer was killed
    if torn:
        logger.warning("%s: dropped a torn last line of %d bytes", file, len(torn))
    events = [_parse(line, f"{file} line {number}") for number, line in enumerate(lines, 1)]
    return settled(events) if settle else events


def _parse(line: bytes, where: str) -> Event:
    try:
        event = json.loads(line)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{where} is damaged: it is not valid JSON") from error
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        raise FormatError(f"{where} is not an event of clcore: it has no 'event' name")
    if event["event"] == "start" and event.get("schema") != SCHEMA:
        raise FormatError(
            f"{where} was written with schema {event.get('schema')!r}, this version reads "
            f"schema {SCHEMA}"
        )
    return event


def settled(events: Iterable[Event]) -> list[Event]:
    """The events of the unbroken run that a killed and resumed run amounts to.

    A `resume` event says from which iteration training goes on. What was logged after that
    iteration belongs to the abandoned stretch and is done again, so it is left out, and so is an
    earlier copy of what is logged again at the same iteration. `resume` events are left out too.

    Args:
        events: The events as they were written.

    Returns:
        A new list, in order.
    """
    kept: list[Event] = []
    for event in events:
        if event["event"] == "resume":
            point = event["iteration"]
            kept = [earlier for earlier in kept if earlier.get("iteration", 0) <= point]
            kept = [earlier for earlier in kept if earlier["event"] != "end"]
        else:
            kept.append(event)
    latest = {_identity(event): index for index, event in enumerate(kept)}
    return [event for index, event in enumerate(kept) if latest[_identity(event)] == index]


def _identity(event: Event) -> tuple[Any, ...]:
    return (
        event["event"],
        event.get("iteration"),
        event.get("experience"),
        event.get("phase"),
    )
