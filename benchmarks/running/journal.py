"""Writes what happens in a cell to its event log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import metrics
from benchmarks.reporting import EventLog
from benchmarks.reporting.memory_event import memory_event
from benchmarks.running.state import CellState, seen_average
from buffers import Buffer
from clcore import Cost


class Journal:
    """The event log of one cell, with what the events have in common.

    Args:
        log: Where the events go.
        folder: The cell's folder, for pictures.
        state: The cell's state; read, and `seen` is updated.
        joint: Whether everything is learned at once.
    """

    def __init__(self, log: EventLog, folder: Path, state: CellState, *, joint: bool) -> None:
        self.log, self.folder, self.state, self.joint = log, folder, state, joint

    def train(self, iteration: int, numbers: dict[str, Any]) -> None:
        """One step of training; `numbers` as `monitor.losses` gives them."""
        self.log.write(
            {
                "event": "train",
                "iteration": iteration,
                "experience": self.state.done,
                **numbers,
            }
        )

    def evaluation(self, phase: str, iteration: int, experience: int, rates: list[float]) -> None:
        """One evaluation.

        Args:
            phase: `"during"` or `"end"` of an experience.
            iteration: Steps so far.
            experience: The experience being learned, or just learned.
            rates: Accuracy on each test set.
        """
        rows = [*self.state.matrix[:experience], rates]
        self.log.write(
            {
                "event": "evaluation",
                "iteration": iteration,
                "experience": experience,
                "phase": phase,
                "accuracies": rates,
                "average_accuracy": seen_average(rates, experience, joint=self.joint),
                "average_forgetting": metrics.average_forgetting(rows, upto=len(rows)),
            }
        )

    def memory(self, iteration: int, experience: int, buffer: Buffer) -> None:
        """The memory at the end of an experience, with a picture where it holds images."""
        self.log.write(
            memory_event(
                buffer,
                self.folder,
                iteration=iteration,
                experience=experience,
                seen_before=self.state.seen,
            )
        )
        self.state.seen = buffer.seen

    def selection(self, iteration: int, experience: int, cost: Cost) -> None:
        """What choosing has cost since the beginning."""
        self.log.write(
            {
                "event": "selection",
                "iteration": iteration,
                "experience": experience,
                "seconds": cost.seconds,
                "forward_passes": cost.forward_passes,
                "backward_passes": cost.backward_passes,
            }
        )
