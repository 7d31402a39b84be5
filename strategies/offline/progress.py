"""A progress bar of epochs and steps, with what the run has cost so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from clcore.coreset import Coreset
from strategies.offline.callbacks import Callback
from strategies.offline.history import EpochRecord, History

if TYPE_CHECKING:
    from strategies.offline.trainer import CoresetTrainer


class ProgressBar(Callback):
    """Shows epochs, the steps of the one that runs, the loss, and what was chosen.

    Where standard error is no terminal, nothing is shown but a line a selection.

    Args:
        console: Where to; standard error by default.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._bar: Progress | None = None
        self._epochs = self._steps = TaskID(0)

    def on_fit_start(self, trainer: CoresetTrainer, epochs: int) -> None:
        """Show the bars."""
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[told]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._epochs = self._bar.add_task("epochs", total=epochs, completed=trainer.epoch, told="")
        self._steps = self._bar.add_task("steps", total=None, told="")
        self._bar.start()

    def on_selection(self, trainer: CoresetTrainer, coreset: Coreset) -> None:
        """Say what was chosen, with the selector's certificate if it has one."""
        told = "".join(f", {name} {value:.4g}" for name, value in coreset.report.items())
        self.console.print(
            f"epoch {trainer.epoch + 1}: {len(coreset):,} of {len(trainer.data):,} rows{told}",
            highlight=False,
        )

    def on_progress(self, trainer: CoresetTrainer, step: int, steps: int) -> None:
        """Move the bar of steps."""
        if self._bar is not None:
            self._bar.update(self._steps, completed=step, total=steps)

    def on_epoch_end(self, trainer: CoresetTrainer, record: EpochRecord) -> None:
        """Move the bar of epochs."""
        if self._bar is None:
            return
        spent = trainer.history
        told = (
            f"loss {record.loss:.4f}, trained {spent.train_seconds:.1f} s, "
            f"selected {spent.select_seconds:.1f} s"
        )
        self._bar.update(self._steps, completed=record.steps, total=record.steps)
        self._bar.update(self._epochs, completed=record.epoch, told=told)

    def on_fit_end(self, trainer: CoresetTrainer, history: History) -> None:
        """Take the bars away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
