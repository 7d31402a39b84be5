"""Feeds wandb from a cell's event log: while it is written, or from the file at any later time.

wandb can't resume an offline run, so wandb is never the record: `events.jsonl` is, and a run is
made anew from it, under an id that the same cell with the same settings always gets. A dashboard
must not stop a training run: what goes wrong in wandb is logged in one sentence, and everything
can be fed again later.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import wandb

from benchmarks.generative import wandb_keys as generative_keys
from benchmarks.offline import wandb_keys as offline_keys
from benchmarks.reporting import wandb_keys as keys
from benchmarks.reporting.events import events_file, read_events
from benchmarks.reporting.gather import inside
from benchmarks.reporting.images import read_picture
from benchmarks.reporting.matrix_picture import matrix_picture
from benchmarks.reporting.wandb_artifacts import keep_files, keep_result
from benchmarks.reporting.wandb_mode import Mode
from benchmarks.reporting.wandb_run import (
    Fed,
    fed_of,
    is_wandb_failure,
    remove_earlier,
    staging,
    start_run,
)
from clcore.errors import FormatError

logger = logging.getLogger(__name__)


class WandBSink:
    """Turns the events of one cell into one wandb run.

    Attach it to an `EventLog`, or let `feed` replay a log into it.

    Args:
        cell_dir: The cell's folder, to which the events' file names are relative.
        mode: `"online"`, `"offline"` or `"disabled"`; see `wandb_mode.decide_mode`.
        wandb_dir: Folder in which wandb makes its `wandb` folder; the run folder, two above the
            cell's, by default.
        project: wandb project.
        **options: More options for `wandb.init`, such as `entity`; they win over ours.
    """

    def __init__(
        self,
        cell_dir: str | os.PathLike[str],
        *,
        mode: Mode,
        wandb_dir: str | os.PathLike[str] | None = None,
        project: str = "clcore",
        **options: Any,
    ) -> None:
        self.cell_dir = Path(cell_dir)
        self.wandb_dir = Path(wandb_dir) if wandb_dir is not None else self.cell_dir.parents[1]
        self.mode: Mode = mode
        self.project = project
        self.options = options
        self.run: wandb.Run | None = None
        self.fed: Fed | None = None
        self.failed = False
        self._start: Mapping[str, Any] = {}
        self._rows: dict[int, keys.Row] = {}
        self._handlers: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "start": self._on_start,
            "train": lambda event: self._log(keys.train(event)),
            "evaluation": self._on_evaluation,
            "memory": self._on_memory,
            "selection": lambda event: self._log(keys.selection(event)),
            "point": self._on_point,
            "coreset": lambda event: self._log(
                offline_keys.coreset(event, self._start.get("classes"))
            ),
            "end": self._on_end,
        }

    def handle(self, event: Mapping[str, Any]) -> None:
        """Take one event; those of other names are left alone.

        Args:
            event: As `docs/results-format.md` describes it.

        Raises:
            FormatError: The event names a file outside of the cell's folder, or lacks what an event
            of its name has.
        """
        handler = self._handlers.get(event["event"])
        if handler is None or self.failed:
            return
        if self.run is None and event["event"] != "start":
            return
        if event["event"] == "start":
            if self.run is not None:  # the same cell, started again
                self.close()
            self._start, self._rows = event, {}
        try:
            with self._staging():
                handler(event)
        except KeyError as error:
            raise FormatError(
                f"the event log in {self.cell_dir} is damaged: a {event['event']!r} event lacks "
                f"{error}"
            ) from error
        except Exception as error:
            if not is_wandb_failure(error):
                raise
            self.failed = True
            logger.warning(
                "wandb: %s; logging to wandb stops, nothing is lost: the events are in %s",
                str(error).splitlines()[0] if str(error) else type(error).__name__,
                self.cell_dir,
            )

    def log(self, payload: Mapping[str, Any]) -> None:
        """Log something of your own beside the events, under a counter named in it.

        Args:
            payload: Keys and values; give `experience` or `iteration` as well.
        """
        if self.run is not None and not self.failed:
            with self._staging():
                self._log({**payload})

    def close(self, exit_code: int = 0) -> None:
        """Finish the run.

        Args:
            exit_code: Other than 0 marks it as failed.
        """
        if self.run is not None:
            with self._staging():
                self.run.finish(exit_code=exit_code)
            self.run = None

    def _staging(self) -> AbstractContextManager[None]:
        if self.mode == "disabled":
            return nullcontext()
        identity = self.options.get("id") or keys.run_id(self._start)
        return staging(self.wandb_dir / "wandb" / "staged" / identity)

    def _log(self, payload: dict[str, Any]) -> None:
        assert self.run is not None
        self.run.log(payload)

    def _on_start(self, event: Mapping[str, Any]) -> None:
        identity = keys.run_id(event)
        options: dict[str, Any] = {
            "id": identity,
            "name": event.get("cell") or identity,
            "project": self.project,
            "group": event["suite"],
            "job_type": event["method"],
            "config": keys.config(event),
            "tags": keys.tags(event),
        }
        self.run, self.mode = start_run(self.mode, self.wandb_dir, **(options | self.options))
        self.fed = fed_of(self.run, self.mode)

    def _on_evaluation(self, event: Mapping[str, Any]) -> None:
        experience = event["experience"]
        earlier = [self._rows.get(index, ()) for index in range(experience)]
        self._log(keys.evaluation(event, earlier))
        if event["phase"] == "end":
            self._rows[experience] = event["accuracies"]

    def _on_memory(self, event: Mapping[str, Any]) -> None:
        payload = keys.memory(event, self._start.get("classes"))
        name = event.get("exemplars")
        if name:
            file = inside(self.cell_dir, name)
            if file.is_file():
                caption = f"{self._start['method']}, {event['size']} exemplars, a row a class"
                payload["memory/exemplars"] = wandb.Image(read_picture(file), caption=caption)
        self._log(payload)

    def _on_point(self, event: Mapping[str, Any]) -> None:
        if self._start.get("kind") == "generative":
            caption = f"{self._start['method']}, batch {self._start['batch_size']}"
            self._log(generative_keys.point(event, self.cell_dir, caption))
        else:
            self._log(offline_keys.point(event))

    def matrix(self) -> list[keys.Row]:
        """Accuracies at the end of each experience so far, in rows of one length.

        Returns:
            Row i is after experience i; blank (None) where nothing was measured.
        """
        width = max((len(row) for row in self._rows.values()), default=0)
        blank: list[float | None] = [None] * width
        rows = [self._rows.get(index, ()) for index in range(max(self._rows, default=-1) + 1)]
        return [[*row, *blank[len(row) :]] for row in rows]

    def _on_end(self, event: Mapping[str, Any]) -> None:
        assert self.run is not None
        result = event.get("result") or {}
        scalars = {name: value for name, value in result.items() if _scalar(value)}
        kind = self._start.get("kind")
        if kind == "offline":
            self._log(offline_keys.end(event, self.cell_dir))
        elif kind == "generative":
            self._log(generative_keys.end(event, self.cell_dir))
            scalars |= generative_keys.last_values(result)
        else:
            self._log(self._last(event, result))
        self.run.summary.update({f"result/{name}": value for name, value in scalars.items()})
        keep_result(self.run, self._start, result)
        keep_files(self.run, self._start, self.cell_dir, event.get("artifacts") or {})
        self.close(event.get("exit_code", 0))

    def _last(self, event: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
        """What a continual run shows once, at its end."""
        matrix = result.get("accuracy_matrix") or self.matrix()
        payload: dict[str, Any] = {
            "experience": max(self._rows, default=len(matrix) - 1),
            "iteration": event["iteration"],
        }
        if result.get("forward_transfer") is not None:
            payload["transfer/forward"] = result["forward_transfer"]
        if matrix:
            title = f"accuracy of {self._start['method']}, %"
            payload["accuracy/matrix"] = wandb.Image(matrix_picture(matrix, title), caption=title)
            payload["accuracy/matrix_table"] = keys.matrix_table(matrix)
            payload["accuracy/matrix_panel"] = keys.matrix_panel(matrix)
        return payload


def _scalar(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def feed(
    cell_dir: str | os.PathLike[str],
    *,
    mode: Mode,
    project: str = "clcore",
    wandb_dir: str | os.PathLike[str] | None = None,
) -> Fed | None:
    """Make a cell's wandb run from its event log; an earlier one is replaced.

    Args:
        cell_dir: The cell's folder with its `events.jsonl`; an unfinished cell is fed as far as
            it came.
        mode: `"online"`, `"offline"` or `"disabled"`.
        project: wandb project.
        wandb_dir: Folder in which wandb makes its `wandb` folder; the run folder by default.

    Returns:
        Where it went, or None where the log is empty or wandb failed (which is logged).

    Raises:
        FormatError: There is no event log, it is damaged or of another schema, or it names a file
            outside of the cell's folder.
    """
    events = read_events(events_file(cell_dir))
    sink = WandBSink(cell_dir, mode=mode, project=project, wandb_dir=wandb_dir)
    if events and events[0]["event"] == "start" and mode != "disabled":
        remove_earlier(sink.wandb_dir, keys.run_id(events[0]))
    for event in events:
        sink.handle(event)
    unfinished = sink.run is not None
    sink.close(exit_code=1 if unfinished else 0)
    return None if sink.failed else sink.fed


def live(
    cell_dir: str | os.PathLike[str],
    *,
    mode: Mode,
    project: str = "clcore",
    wandb_dir: str | os.PathLike[str] | None = None,
) -> WandBSink:
    """A sink for a cell that is about to run, or to go on after a kill.

    What the log holds already is fed first, so a resumed run shows whole. Close the sink when the
    cell stops before its end.

    Args:
        cell_dir: The cell's folder; a log in it is optional. For a cell that goes on, the log must
            hold its `resume` event already.
        mode: `"online"`, `"offline"` or `"disabled"`.
        project: wandb project.
        wandb_dir: Folder in which wandb makes its `wandb` folder; the run folder by default.

    Returns:
        The sink, to be given to `EventLog`.
    """
    sink = WandBSink(cell_dir, mode=mode, project=project, wandb_dir=wandb_dir)
    if (Path(cell_dir) / "events.jsonl").is_file():
        for event in read_events(cell_dir):
            sink.handle(event)
    return sink
