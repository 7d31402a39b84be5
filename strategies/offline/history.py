"""What a training run tells of each epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class EpochRecord:
    """One epoch.

    Attributes:
        epoch: Its number, from 1.
        rows: Rows trained on.
        steps: Steps of the optimizer.
        loss: Mean weighted training loss over the epoch, as the steps saw it.
        train_seconds: Spent in the steps of this epoch.
        select_seconds: Spent before this epoch on signals, selection and the measuring of drift.
        selected: Whether the rows were chosen anew for this epoch.
        learning_rate: Of the first parameter group, in the epoch's last step.
        forward_passes: Samples sent forward for the selection.
        backward_passes: Samples differentiated for the selection.
        gradient_error: Relative error of the coreset's gradient before this epoch, where it was
            measured (`reselect=`), else None.
        report: What the selector told of the coreset in use (a certificate, a residual), by name.
    """

    epoch: int
    rows: int
    steps: int
    loss: float
    train_seconds: float
    select_seconds: float
    selected: bool
    learning_rate: float
    forward_passes: int = 0
    backward_passes: int = 0
    gradient_error: float | None = None
    report: Mapping[str, float] = field(default_factory=dict)


@dataclass
class History:
    """All epochs so far.

    Attributes:
        records: One an epoch, in order.
    """

    records: list[EpochRecord] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[EpochRecord]:
        return iter(self.records)

    def __getitem__(self, place: int) -> EpochRecord:
        return self.records[place]

    @property
    def seconds(self) -> float:
        """Spent on training and selecting in all epochs."""
        return self.train_seconds + self.select_seconds

    @property
    def train_seconds(self) -> float:
        """Spent on training in all epochs."""
        return sum(record.train_seconds for record in self.records)

    @property
    def select_seconds(self) -> float:
        """Spent on selecting in all epochs."""
        return sum(record.select_seconds for record in self.records)

    @property
    def selections(self) -> int:
        """How often rows were chosen."""
        return sum(record.selected for record in self.records)

    def state_dict(self) -> dict[str, Any]:
        """Return the records as plain values."""
        return {"records": [asdict(record) for record in self.records]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the records that `state_dict` returned."""
        self.records = [EpochRecord(**record) for record in state["records"]]
