"""Training that has gone wrong is stopped with a sentence, not carried on."""

from __future__ import annotations

from pathlib import Path

from clcore.errors import ClcoreError


class DivergedError(ClcoreError, ArithmeticError):
    """The training loss became NaN or infinite.

    Args:
        loss: What it became.
        epoch: The epoch, from 1.
        step: The step in the epoch, from 1.
        warm_up: Whether that was on all data.
        checkpoint: The last checkpoint; or None.
        saved_epoch: The epochs that were done when it was written.

    Attributes:
        checkpoint: As given.
    """

    def __init__(
        self,
        loss: float,
        epoch: int,
        step: int,
        *,
        warm_up: bool,
        checkpoint: Path | None,
        saved_epoch: int | None,
    ) -> None:
        kept = "no checkpoint was written"
        if checkpoint is not None:
            kept = f"the last good checkpoint is {checkpoint}, after epoch {saved_epoch}"
        phase = "training on all data" if warm_up else "training on the coreset"
        super().__init__(
            f"the loss became {loss} by step {step} of epoch {epoch}, in {phase}; lower the "
            f"learning rate, or look for NaN in the data. {kept[0].upper()}{kept[1:]}"
        )
        self.checkpoint = checkpoint
