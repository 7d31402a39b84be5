"""Keeps the books of an Avalanche run and writes them as events.

Avalanche says that an experience begins and that an evaluation is over; it does not say which
evaluation stands at the end of an experience, nor when a memory has taken it in. This settles
both, so that a sink sees the same events as from `clcore run`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.reporting import wandb_keys as keys
from benchmarks.reporting.events import Sink
from benchmarks.reporting.memory_event import memory_event


class Books:
    """Turns what happens in a strategy into events.

    Args:
        sink: Takes the events.
        buffer: The memory, or None.
        folder: For the pictures and files that the events name.
    """

    def __init__(self, sink: Sink, buffer: Any, folder: Path) -> None:
        self.sink, self.buffer, self.folder = sink, buffer, folder
        self.iteration = 0
        self.experience: int | None = None
        self.learned: set[int] = set()
        self.rows: dict[int, list[float | None]] = {}
        self.averages: dict[int, float] = {}
        self._memory_due = False
        self._end_due: dict[str, Any] | None = None
        self._seen = 0

    def begin(self, experience: int) -> None:
        """An experience, or a piece of one, is about to be learned.

        Args:
            experience: Its number; of a piece, that of the experience it was cut from.
        """
        if experience != self.experience:
            self.settle()
            self.experience = experience
        self.learned.add(experience)
        self._memory_due = True

    def trained(self, loss: float, accuracy: float | None, replay_loss: float | None) -> None:
        """A training step to be logged."""
        self.sink.handle(
            {
                "event": "train",
                "iteration": self.iteration,
                "experience": self.experience,
                "loss": loss,
                "accuracy": accuracy,
                "replay_loss": replay_loss,
            }
        )

    def evaluated(self, tested: Mapping[int, float], columns: int, *, during: bool) -> None:
        """An evaluation on the test stream is over.

        Args:
            tested: Accuracy of each test experience that was evaluated; at least one.
            columns: How many test experiences there are, as far as that is known.
            during: Whether it interrupted the training. The last such one of an experience
                counts as the one at its end, unless another follows.
        """
        width = max(columns, max(tested) + 1)
        accuracies = [tested.get(index) for index in range(width)]
        seen = [tested[index] for index in self.learned if index in tested] or [*tested.values()]
        now = self.experience or 0
        lost = keys.forgetting(accuracies, [self.rows.get(index, []) for index in range(now)])
        measured = [value for value in lost if value is not None]
        event = {
            "event": "evaluation",
            "iteration": self.iteration,
            "experience": now,
            "phase": "during",
            "accuracies": accuracies,
            "average_accuracy": sum(seen) / len(seen),
            "average_forgetting": sum(measured) / len(measured) if measured else 0.0,
        }
        if during or self.experience is None:
            self.sink.handle(event)
        if self.experience is not None:
            self._end_due = {**event, "phase": "end"}
            if not during:
                self.settle()

    def settle(self) -> None:
        """Write what stands at the end of an experience: evaluation, memory, selection."""
        if self.experience is None:
            return
        if self._end_due is not None:
            self.rows[self.experience] = self._end_due["accuracies"]
            self.averages[self.experience] = self._end_due["average_accuracy"]
            self.sink.handle(self._end_due)
            self._end_due = None
        if self._memory_due and self.buffer is not None:
            self._write_memory({"iteration": self.iteration, "experience": self.experience})
        self._memory_due = False

    def _write_memory(self, place: dict[str, int]) -> None:
        self.sink.handle(memory_event(self.buffer, self.folder, seen_before=self._seen, **place))
        self._seen = self.buffer.seen
        cost = getattr(self.buffer, "cost", None)
        if cost is not None:
            self.sink.handle(
                {
                    "event": "selection",
                    **place,
                    "seconds": cost.seconds,
                    "forward_passes": cost.forward_passes,
                    "backward_passes": cost.backward_passes,
                }
            )

    def end(self, exit_code: int) -> None:
        """Write the last event, with the final memory as a file.

        Args:
            exit_code: Other than 0 where the run failed.
        """
        self.settle()
        artifacts = {}
        if self.buffer is not None and len(self.buffer) and hasattr(self.buffer, "save"):
            self.buffer.save(self.folder / "memory.safetensors")
            artifacts["memory"] = "memory.safetensors"
        result: dict[str, Any] = {}
        if self.averages:
            averages = [self.averages[index] for index in sorted(self.averages)]
            result = {
                "final_accuracy": averages[-1],
                "average_accuracy": sum(averages) / len(averages),
            }
        self.sink.handle(
            {
                "event": "end",
                "iteration": self.iteration,
                "result": result,
                "artifacts": artifacts,
                "exit_code": exit_code,
            }
        )
