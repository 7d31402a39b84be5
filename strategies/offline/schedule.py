"""Learning-rate schedules where epochs differ in size.

An epoch on a tenth of the rows has a tenth of the steps. A schedule counted in epochs doesn't
mind. One that is counted in steps was written for epochs on all data, and would be a tenth of the
way through at the end; `"full-step"` moves it on by the steps that an epoch on all data has, spread
over the steps that there are, so that it is passed through whole.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from clcore.errors import ArgumentError

SchedulerUnit = Literal["epoch", "step", "full-step"]


class Schedule:
    """A scheduler of torch and when it is stepped.

    Args:
        scheduler: Made over the optimizer; or None.
        unit: What the scheduler counts: epochs, steps of the optimizer, or steps of epochs on all
            data (`"full-step"`).
        optimizer: The optimizer.

    Raises:
        ArgumentError: The scheduler is of another optimizer, or can't count so.
    """

    def __init__(self, scheduler: Any, unit: SchedulerUnit, optimizer: Optimizer) -> None:
        if unit not in get_args(SchedulerUnit):
            raise ArgumentError(
                f"scheduler_unit must be 'epoch', 'step' or 'full-step', not {unit!r}"
            )
        if scheduler is not None and not isinstance(scheduler, LRScheduler):
            raise ArgumentError(
                f"scheduler must be one of torch.optim.lr_scheduler, not {type(scheduler).__name__}"
            )
        if scheduler is not None and scheduler.optimizer is not optimizer:
            raise ArgumentError("scheduler belongs to another optimizer than the one given")
        if isinstance(scheduler, ReduceLROnPlateau) and unit != "epoch":
            raise ArgumentError(
                "scheduler: ReduceLROnPlateau goes by epochs, so scheduler_unit must be 'epoch'"
            )
        self.scheduler, self.unit = scheduler, unit
        self.by_step = scheduler is not None and unit != "epoch"

    def after_step(self, step: int, steps: int, full_steps: int) -> None:
        """Move on after a step.

        Args:
            step: Steps done in this epoch, this one included.
            steps: Of this epoch.
            full_steps: Of an epoch on all data.
        """
        if self.scheduler is None:
            return
        count = 1
        if self.unit == "full-step":
            count = step * full_steps // steps - (step - 1) * full_steps // steps
        for _ in range(count):
            self.scheduler.step()

    def after_epoch(self, loss: float) -> None:
        """Move on after an epoch, where epochs are what is counted.

        Args:
            loss: The epoch's mean training loss, for schedulers that follow it.
        """
        if self.scheduler is None or self.unit != "epoch":
            return
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(loss)
        else:
            self.scheduler.step()
