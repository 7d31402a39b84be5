"""How far a cell has got: written after each experience, read when it is resumed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from benchmarks.reporting.results import write_text_atomically
from benchmarks.running.monitor import Counts
from clcore.errors import FormatError

SCHEMA = 1
"""Number of the format of `state.json`."""


@dataclass
class CellState:
    """Everything about a cell that neither the checkpoint nor the settings hold.

    Attributes:
        done: Experiences learned.
        checkpoint: Name of the checkpoint's file, taken after the last of them.
        counts: Steps and passes so far.
        untrained: Accuracy of the untrained network on each test set, `[E]`.
        matrix: Rows of the accuracy matrix so far.
        train_seconds: Spent on training so far.
        evaluate_seconds: Spent on evaluating so far.
        seen: Rows offered to the memory at its last `memory` event.
    """

    done: int = 0
    checkpoint: str = ""
    counts: Counts = field(default_factory=Counts)
    untrained: list[float] = field(default_factory=list)
    matrix: list[list[float]] = field(default_factory=list)
    train_seconds: float = 0.0
    evaluate_seconds: float = 0.0
    seen: int = 0

    def write(self, folder: Path) -> None:
        """Write to `state.json`, atomically."""
        record = {"schema": SCHEMA, **asdict(self)}
        write_text_atomically(folder / "state.json", json.dumps(record) + "\n")

    @classmethod
    def read(cls, folder: Path) -> CellState | None:
        """Read `state.json`.

        Returns:
            The state; None where the cell has none yet.

        Raises:
            FormatError: The file is damaged, or of another schema.
        """
        file = folder / "state.json"
        if not file.is_file():
            return None
        remedy = f"delete {folder} to run this cell again"
        try:
            record: Any = json.loads(file.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise FormatError(f"{file} is damaged: it is not valid JSON; {remedy}") from error
        if not isinstance(record, dict) or record.pop("schema", None) != SCHEMA:
            raise FormatError(f"{file} is not a cell's state of schema {SCHEMA}; {remedy}")
        try:
            return TypeAdapter(cls).validate_python(record)
        except ValidationError as error:
            raise FormatError(f"{file} is damaged: {error.errors()[0]['msg']}; {remedy}") from error


def seen_average(accuracies: Sequence[float], experience: int, *, joint: bool) -> float:
    """Mean accuracy on the test sets of what has been learned.

    Args:
        accuracies: One a test set.
        experience: The experience being learned, or learned last.
        joint: Whether everything is learned at once.
    """
    seen = accuracies if joint else accuracies[: experience + 1]
    return sum(seen) / len(seen)
