"""Follows one cell: what is measured goes to its event log, and in the end to its result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.generative.measures import described
from benchmarks.generative.plan import GenerativeCell
from benchmarks.generative.record import GenerativeRun
from benchmarks.generative.suite import GenerativeSuite
from benchmarks.reporting.events import EventLog

_LISTS = ("steps", "seconds", "selection_seconds", "cpu_seconds")


class Course:
    """What has been measured of a cell so far.

    Args:
        log: Where events go.
        suite: The suite.
        cell: The cell.

    Attributes:
        evaluate_seconds: Spent in measuring so far.
        lists: Steps and clocks of each point.
        measures: By name, the value at each point.
    """

    def __init__(self, log: EventLog, suite: GenerativeSuite, cell: GenerativeCell) -> None:
        self.log, self.suite, self.cell = log, suite, cell
        self.evaluate_seconds = 0.0
        self.lists: dict[str, list[Any]] = {name: [] for name in _LISTS}
        self.measures: dict[str, list[float]] = {name: [] for name in suite.measures}

    def point(
        self,
        steps: int,
        *,
        seconds: float,
        selection_seconds: float,
        cpu_seconds: float | None,
        measures: Mapping[str, float],
        losses: Mapping[str, float],
        picture: str,
    ) -> None:
        """Take down one measurement.

        Args:
            steps: Steps of training so far.
            seconds: Of training and selection so far.
            selection_seconds: Part of it.
            cpu_seconds: The same in processor time; None where it is not measured.
            measures: Values by name.
            losses: The last losses by name.
            picture: File of the picture, in the cell's folder.
        """
        clocks = {
            "seconds": seconds,
            "selection_seconds": selection_seconds,
            "cpu_seconds": cpu_seconds,
        }
        self.lists["steps"].append(steps)
        for name, value in clocks.items():
            self.lists[name].append(value)
        for name, values in self.measures.items():
            values.append(measures[name])
        self.log.write(
            {
                "event": "point",
                "iteration": steps,
                "steps": steps,
                **clocks,
                "measures": {name: measures[name] for name in self.measures},
                "losses": dict(losses),
                "picture": picture,
            }
        )

    def finish(self, **more: Any) -> GenerativeRun:
        """Make the result.

        Args:
            **more: Counts and costs, as in `GenerativeRun`.
        """
        seconds, selection = self.lists["seconds"][-1], self.lists["selection_seconds"][-1]
        cpu = self.lists["cpu_seconds"]
        return GenerativeRun.model_validate(
            {
                "method": self.cell.method,
                "batch_size": self.cell.batch_size,
                "seed": self.cell.seed,
                "course": {
                    **self.lists,
                    "cpu_seconds": None if None in cpu else cpu,
                    "measures": self.measures,
                },
                "measures": [measure.model_dump() for measure in described(self.suite)],
                "seconds": {
                    "train": max(0.0, seconds - selection),
                    "select": selection,
                    "evaluate": self.evaluate_seconds,
                },
                **more,
            }
        )

    def state(self) -> dict[str, Any]:
        """What has been measured so far, as plain values."""
        return {
            "lists": self.lists,
            "measures": self.measures,
            "evaluate_seconds": self.evaluate_seconds,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned.

        Raises:
            KeyError: It is no such state.
        """
        self.lists = {name: list(state["lists"][name]) for name in _LISTS}
        self.measures = {name: list(state["measures"][name]) for name in self.measures}
        self.evaluate_seconds = float(state["evaluate_seconds"])
