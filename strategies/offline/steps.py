"""The steps of one epoch: the loop that all the time goes into."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from clcore.errors import ArgumentError
from clcore.recorder import TrainingRecorder
from strategies.offline.data import TrainingData
from strategies.offline.frequencies import drawn_by_weight
from strategies.offline.losses import RowLosses, batch_loss
from strategies.offline.schedule import Schedule

_LOOK = 50
"""Steps between two looks at the loss on a device where a look waits for all work queued there."""

_REFRESH = 0.2
"""Seconds between two calls of `on_progress`."""


@dataclass(frozen=True)
class Outcome:
    """What an epoch came to.

    Attributes:
        loss: Mean weighted loss.
        steps: Steps done.
        rows: Rows trained on.
        learning_rate: Of the first parameter group, in the last step.
        paused: Seconds spent in `on_progress`.
    """

    loss: float
    steps: int
    rows: int
    learning_rate: float
    paused: float


@dataclass
class Steps:
    """Runs epochs over given rows with given weights.

    Attributes:
        model: The model.
        optimizer: Its optimizer.
        losses: One loss a row.
        schedule: The scheduler and when it is stepped.
        data: The rows.
        device: Where the model is.
        batch_size: Rows a step.
        drop_last: Whether an incomplete last batch is left out.
        transform: Applied to each batch of inputs; or None.
        augment: Applied after it, while training only; or None.
        autocast: Precision of the forward pass; None: as the model is.
    """

    model: nn.Module
    optimizer: Optimizer
    losses: RowLosses
    schedule: Schedule
    data: TrainingData
    device: torch.device
    batch_size: int
    drop_last: bool
    transform: Callable[[Tensor], Tensor] | None
    augment: Callable[[Tensor], Tensor] | None
    autocast: torch.dtype | None

    def __post_init__(self) -> None:
        # bfloat16 has the range of single precision and needs no scaling.
        half = self.autocast == torch.float16
        self.scaler = torch.amp.GradScaler(self.device.type) if half else None
        self._precision: AbstractContextManager[Any] = nullcontext()
        if self.autocast is not None:
            self._precision = torch.autocast(self.device.type, dtype=self.autocast)
        self._look = 1 if self.device.type == "cpu" else _LOOK
        self._full_steps = self.steps_for(len(self.data))

    def steps_for(self, rows: int) -> int:
        """Return how many steps an epoch on so many rows has."""
        return rows // self.batch_size if self.drop_last else -(-rows // self.batch_size)

    def epoch(
        self,
        rows: Tensor | None,
        weights: Tensor | None,
        generator: torch.Generator,
        *,
        recorder: TrainingRecorder | None,
        diverged: Callable[[float, int], Exception],
        progress: Callable[[int, int], None] | None,
        sampling: bool = False,
    ) -> Outcome:
        """Train on each row once, in a new random order.

        Args:
            rows: int64 `[k]` on the CPU; None for all.
            weights: float32 `[k]` on the CPU, of mean 1; None for ones.
            generator: What the order is drawn from.
            recorder: Gets the losses and right answers; or None.
            diverged: Makes the exception that is raised when the loss, the first argument, is not
                finite by a step, the second.
            progress: Called a few times a second with the steps done and their number; or None.
            sampling: Train on each row as often as it weighs, without weights in the loss.

        Returns:
            What it came to.

        Raises:
            ArgumentError: There is not one whole batch, and incomplete ones are left out.
        """
        count = len(self.data) if rows is None else len(rows)
        steps = self.steps_for(count)
        if steps == 0:
            raise ArgumentError(
                f"drop_last: {count} rows are less than a batch of {self.batch_size}, so nothing "
                "would be trained on; give a smaller batch_size or drop_last=False"
            )
        if sampling and weights is not None:
            order, weights = drawn_by_weight(weights, generator), None
        else:
            order = torch.randperm(count, generator=generator)
        order = order[: steps * self.batch_size]
        parts: Any = None
        if weights is not None:
            parts = torch.split(weights[order].to(self.device), self.batch_size)
        taken = order if rows is None else rows[order]
        total = _Total(self._look, diverged)
        paused, shown, rate = 0.0, time.perf_counter(), 0.0
        self.model.train()
        batches = self.data.batches(taken, self.batch_size)
        for step, (numbers, x, y) in enumerate(batches, start=1):
            rate = self.optimizer.param_groups[0]["lr"]
            loss = self._step(numbers, x, y, None if parts is None else parts[step - 1], recorder)
            total.add(loss, len(y), step)
            if self.schedule.by_step:
                self.schedule.after_step(step, steps, self._full_steps)
            if progress is not None and time.perf_counter() - shown > _REFRESH:
                before = time.perf_counter()
                progress(step, steps)
                shown = time.perf_counter()
                paused += shown - before
        mean = total.mean(steps)
        if recorder is not None:
            recorder.end_epoch()
        return Outcome(mean, steps, len(taken), float(rate), paused)

    def _step(
        self,
        numbers: Tensor,
        x: Tensor,
        y: Tensor,
        weights: Tensor | None,
        recorder: TrainingRecorder | None,
    ) -> Tensor:
        if x.device != self.device or y.device != self.device:
            x = x.to(self.device, non_blocking=True)
            y = y.to(self.device, non_blocking=True)
        if self.transform is not None:
            x = self.transform(x)
        if self.augment is not None:
            x = self.augment(x)
        self.optimizer.zero_grad(set_to_none=True)
        losses: Tensor | None = None
        with self._precision:
            outputs = self.model(x)
            if weights is None and recorder is None:
                loss = self.losses.mean(outputs, y)
            else:
                losses = self.losses(outputs, y)
                loss = batch_loss(losses, weights)
        if self.scaler is None:
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
        else:
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            self.scaler.step(self.optimizer)
            self.scaler.update()
        if recorder is not None and losses is not None:
            self._record(recorder, numbers, losses.detach(), outputs.detach(), y)
        return loss.detach()

    def _record(
        self,
        recorder: TrainingRecorder,
        numbers: Tensor,
        losses: Tensor,
        outputs: Tensor,
        y: Tensor,
    ) -> None:
        if outputs.ndim != 2 or y.ndim != 1 or y.is_floating_point():
            raise ArgumentError(
                "selector: whether a row is forgotten can be told of a classifier only, with "
                f"outputs [b, C] and labels [b], not {tuple(outputs.shape)} and {tuple(y.shape)}"
            )
        # A loss that is not finite ends the training right after this step.
        if bool(torch.isfinite(losses).all()):
            recorder.update(numbers, losses=losses, correct=outputs.argmax(dim=1) == y)


class _Total:
    """The sum of the losses, looked at as often as that is cheap."""

    def __init__(self, look: int, diverged: Callable[[float, int], Exception]) -> None:
        self.look, self.diverged = look, diverged
        self.sum, self.rows = 0.0, 0
        self._waiting: list[Tensor] = []

    def add(self, loss: Tensor, rows: int, step: int) -> None:
        self.rows += rows
        if self.look == 1:
            self._take(loss.item() * rows, step)
            return
        self._waiting.append(loss * rows)
        if len(self._waiting) == self.look:
            self._empty(step)

    def mean(self, steps: int) -> float:
        self._empty(steps)
        return self.sum / self.rows

    def _empty(self, step: int) -> None:
        if self._waiting:
            self._take(float(torch.stack(self._waiting).sum()), step)
            self._waiting.clear()

    def _take(self, value: float, step: int) -> None:
        self.sum += value
        if not math.isfinite(value):
            raise self.diverged(value, step)
