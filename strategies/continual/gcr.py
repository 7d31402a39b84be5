"""GCR: weighted replay of the memory's labels and of the logits that were stored with it.

Source: Tiwari, Killamsetty, Iyer & Shenoy, "GCR: Gradient Coreset based Replay Buffer Selection for
Continual Learning", CVPR 2022; the loss without weights is DER++ (Buzzega et al. 2020, "Dark
Experience for General Continual Learning"). With B the stream's mini-batch and R₁, R₂ drawn from
the memory, each step is on

    mean_B CE + α Σ_{R₁} w_i ‖h(x_i) − z_i‖² / (outputs_i Σ_{R₁} w) + β Σ_{R₂} w_i CE_i / Σ_{R₂} w.

Defaults: two draws as in DER++ and the authors' code; α and β those of the buffer where it has any,
else 0.1 and 0.5; draws as large as the stream's mini-batch. The squared distance is a mean over the
outputs, as in DER++, and only over those that existed when z was stored (a head that grows).
Exemplars are run through the model in training mode, each draw by itself: BatchNorm sees them as
it does in DER++.

Differences from the authors' code (google-research/gradient_coresets_replay, which can't run as
published): the supervised contrastive term (γ) is left out; what is replayed comes from the memory
alone, there also from the candidates of the task in training.

Measured: see `buffers/gcr.py`. On digits most of what this gains over plain replay comes from the
loss, which draws twice as many exemplars, and not from the coreset: with a reservoir of 100 it gets
96.1 ± 1.0 % where `Replay` gets 90.9 ± 2.1 (3 seeds); one draw for both terms 95.1 ± 1.8 where
two get 95.4 ± 1.4 (`GCRBuffer(ridge=0.5)`).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from buffers.base import Buffer
from buffers.exemplars import Exemplars
from buffers.gcr import GCRBuffer
from clcore.errors import ArgumentError
from strategies.continual.fast_stream import FastStream
from strategies.continual.memory_plugin import MemoryPlugin
from strategies.continual.weighted_loss import WeightedLoss


class GCR(MemoryPlugin):
    """Adds the weighted replay loss of DER++ to the loss of each step.

    With a buffer without weights it is DER++. The last exemplars drawn stand in
    `strategy.replayed`.

    Args:
        buffer: `GCRBuffer`, or any buffer that stores logits (`buffer.records_logits = True`).
        batch_size: Exemplars a draw; as many as the stream's mini-batch by default.
        alpha: Weight α of the distance to the stored logits; None for the buffer's, or 0.1.
        beta: Weight β of the criterion on the exemplars; None for the buffer's, or 0.5.
        weighted: Whether exemplar weights count.
        draws: 2 for exemplars of its own for each of the two terms, 1 for the same ones, which
            saves a pass.
        update: See `MemoryPlugin`. `GCRBuffer` chooses again at each update.
        fast: See `MemoryPlugin`.

    Raises:
        ArgumentError: An argument is wrong; or, in training, α > 0 and the exemplars have no
            logits.

    Example:
        >>> plugins = [GCR(GCRBuffer(500))]  # for Naive(plugins=plugins)
    """

    def __init__(
        self,
        buffer: Buffer,
        batch_size: int | None = None,
        *,
        alpha: float | None = None,
        beta: float | None = None,
        weighted: bool = True,
        draws: int = 2,
        update: str = "experience",
        fast: bool | FastStream = False,
    ) -> None:
        super().__init__(buffer, update=update, fast=fast)
        if batch_size is not None and (
            isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1
        ):
            raise ArgumentError(f"batch_size: got {batch_size!r}; a positive integer is needed")
        if isinstance(draws, bool) or draws not in (1, 2):
            raise ArgumentError(f"draws: got {draws!r}; 1 or 2 is needed")
        own = isinstance(buffer, GCRBuffer)
        self.alpha = _factor("alpha", alpha, buffer.alpha if own else 0.1)
        self.beta = _factor("beta", beta, buffer.beta if own else 0.5)
        self.batch_size = batch_size
        self.weighted = weighted
        self.draws = draws
        self._loss: WeightedLoss | None = None

    def before_backward(self, strategy: Any, **kwargs: Any) -> None:
        """Add the loss of the exemplars."""
        if len(self.buffer) == 0 or not (self.alpha or self.beta):
            return
        run: tuple[Exemplars, Tensor] | None = None
        if self.alpha:
            run = self._run(strategy)
            strategy.loss = strategy.loss + self.alpha * self._distance(*run)
        if self.beta:
            if run is None or self.draws == 2:
                run = self._run(strategy)
            strategy.loss = strategy.loss + self.beta * self._criterion(strategy, *run)

    def _run(self, strategy: Any) -> tuple[Exemplars, Tensor]:
        drawn = self.buffer.sample(self.batch_size or strategy.train_mb_size)
        if self.alpha and "logits" not in drawn.columns:
            raise ArgumentError(
                f"buffer: the exemplars of this {type(self.buffer).__name__} have no logits, which "
                "alpha > 0 needs; use a GCRBuffer that learns from the strategy, set "
                "`buffer.records_logits = True` before the first experience, give `logits=` to "
                "`add`, or use alpha=0"
            )
        strategy.replayed = drawn
        self.rows_beside += len(drawn)
        return drawn, self.forward_exemplars(strategy, drawn)

    def _distance(self, drawn: Exemplars, logits: Tensor) -> Tensor:
        """The weighted mean of the squared distance to the stored logits."""
        then = drawn.columns["logits"].to(logits)
        if then.shape[1:] != logits.shape[1:]:
            if then.ndim != 2 or logits.ndim != 2 or then.shape[1] > logits.shape[1]:
                raise ArgumentError(
                    f"buffer: it stores logits of shape {tuple(then.shape[1:])}, but the model "
                    f"gives {tuple(logits.shape[1:])}"
                )
            logits = logits[:, : then.shape[1]]
        then, logits = then.flatten(1), logits.flatten(1)
        there = then > -math.inf
        gap = torch.where(there, logits - torch.where(there, then, 0.0), 0.0)
        distance = gap.square().sum(1) / there.sum(1).clamp_min(1)
        weights = self._weights(drawn).to(distance)
        return (weights * distance).sum() / weights.sum()

    def _criterion(self, strategy: Any, drawn: Exemplars, logits: Tensor) -> Tensor:
        if self._loss is None or self._loss.criterion is not strategy._criterion:
            self._loss = WeightedLoss(strategy._criterion)
        y = drawn.y.to(logits.device)
        return self._loss(logits, y, self._weights(drawn).to(logits))

    def _weights(self, drawn: Exemplars) -> Tensor:
        """Weights of a draw; all alike where none has any, which stands for nothing either way."""
        if not self.weighted:
            return torch.ones(len(drawn))
        weights = drawn.weight
        return torch.where(weights.sum() > 0, weights, torch.ones_like(weights))


def _factor(name: str, value: float | None, default: float) -> float:
    if value is None:
        return default
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not (good and math.isfinite(value) and value >= 0):
        raise ArgumentError(f"{name}: got {value!r}; a number of at least 0 is needed")
    return float(value)
