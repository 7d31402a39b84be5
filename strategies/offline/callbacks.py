"""What may be called while a `CoresetTrainer` trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clcore.coreset import Coreset
from strategies.offline.history import EpochRecord, History

if TYPE_CHECKING:
    from strategies.offline.trainer import CoresetTrainer


class Callback:
    """Base class: override what is wanted. Time spent in a callback counts in neither clock.

    A callback with `state_dict` and `load_state_dict` is saved in the trainer's checkpoints. One
    that runs the model restores its training mode itself, or leaves that to the trainer, which
    sets it at the start of each epoch.
    """

    def on_fit_start(self, trainer: CoresetTrainer, epochs: int) -> None:
        """Called before the first epoch of a call of `fit`, with the epochs that it goes to."""

    def on_selection(self, trainer: CoresetTrainer, coreset: Coreset) -> None:
        """Called when rows were chosen, before the epoch that trains on them."""

    def on_progress(self, trainer: CoresetTrainer, step: int, steps: int) -> None:
        """Called a few times a second within an epoch, after `step` of its `steps`."""

    def on_epoch_end(self, trainer: CoresetTrainer, record: EpochRecord) -> None:
        """Called after each epoch, before the checkpoint is written."""

    def on_fit_end(self, trainer: CoresetTrainer, history: History) -> None:
        """Called when `fit` ends, also when it ends by an error."""
