"""Rainbow memory's training: the stream once beside the memory, then epochs on the memory alone.

Source: Bang, Kim, Yoo, Ha and Choi 2021, "Rainbow Memory: Continual Learning with a Memory of
Diverse Samples" (CVPR), and the authors' code (clovaai/rainbow-memory, online mode): each
experience is seen once, half of every batch from the memory; the memory is chosen again; then the
network is trained for some epochs on the memory alone. Output layer and optimiser begin anew with
each experience.

Defaults are those of the authors' MNIST runs: 5 epochs on the memory, rates of 0.1 times the
optimiser's on the stream and in the first epoch on the memory, then cosine annealing with warm
restarts of doubling length between 1 and 0.01 times.

Differs from the authors' code: nothing is chosen by accuracy on test data (they report the best
epoch of each experience); CutMix and AutoAugment belong to the stream's transforms and are not part
of this plugin; the last batch of an epoch is kept. (Is it a single row, of which BatchNorm has no
statistics, and the network has BatchNorm, then it goes to the batch before.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from buffers.base import Buffer
from buffers.retrieval import Retrieval
from clcore.checks import whole_number
from clcore.errors import ArgumentError
from strategies.continual.fast_stream import FastStream
from strategies.continual.replay import Replay


class RainbowMemory(Replay):
    """Replay in the stream, then training on the memory alone after each experience.

    Works with any buffer; `RainbowBuffer` is the authors'.

    Args:
        buffer: The memory.
        batch_size: Exemplars in each step on the stream; the strategy's mini-batch beside them is
            what it is, so give half to each for the authors' setting.
        retrieval: See `Replay`.
        memory_epochs: Epochs on the memory after each experience.
        memory_batch_size: Exemplars a step there; `batch_size` by default.
        stream_rate: Factor on the learning rate while the stream is learned.
        memory_rates: Factor in each epoch on the memory; the schedule above by default.
        reset_head: Draw the output layer anew at the start of each experience but the first.
        reset_optimizer: Forget the optimiser's state (momentum) at the start of each experience.
        weighted: See `Replay`.
        update: See `Replay`.
        fast: See `Replay`.

    Raises:
        ArgumentError: An argument is wrong; in training, if the model has no Linear output layer
            to reset.

    Example:
        >>> from buffers import ReservoirBuffer
        >>> plugins = [RainbowMemory(ReservoirBuffer(500), 8)]  # for Naive(train_mb_size=8, …)
    """

    def __init__(
        self,
        buffer: Buffer,
        batch_size: int | None = None,
        retrieval: str | Retrieval = "uniform",
        *,
        memory_epochs: int = 5,
        memory_batch_size: int | None = None,
        stream_rate: float = 0.1,
        memory_rates: Sequence[float] | None = None,
        reset_head: bool = True,
        reset_optimizer: bool = True,
        weighted: bool = True,
        update: str = "experience",
        fast: bool | FastStream = False,
    ) -> None:
        super().__init__(buffer, batch_size, retrieval, weighted=weighted, update=update, fast=fast)
        self.memory_epochs = whole_number("memory_epochs", memory_epochs)
        if memory_batch_size is not None:
            memory_batch_size = whole_number("memory_batch_size", memory_batch_size, least=1)
        self.memory_batch_size = memory_batch_size
        self.stream_rate = _rate("stream_rate", stream_rate)
        rates = warm_restarts(self.memory_epochs) if memory_rates is None else list(memory_rates)
        self.memory_rates = [_rate("memory_rates", rate) for rate in rates]
        if len(self.memory_rates) != self.memory_epochs:
            raise ArgumentError(
                f"memory_rates: got {len(self.memory_rates)} factors for {self.memory_epochs} "
                "epochs on the memory; one for each is needed"
            )
        self.reset_head, self.reset_optimizer = reset_head, reset_optimizer
        self._rates: list[float] | None = None

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Begin head and optimiser anew; lower the rate for the stream."""
        super().before_training_exp(strategy, **kwargs)
        if self.reset_head and strategy.clock.train_exp_counter > 0:
            _redraw_head(strategy.model)
        if self.reset_optimizer:
            strategy.optimizer.state.clear()
        self._set_rate(strategy, self.stream_rate)

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Let the memory take in the experience, then train on the memory alone."""
        super().after_training_exp(strategy, **kwargs)
        was_training = strategy.model.training
        strategy.model.train()
        for rate in self.memory_rates if len(self.buffer) else ():
            self._set_rate(strategy, rate)
            self._epoch(strategy)
        strategy.model.train(was_training)
        self._set_rate(strategy, None)

    def _epoch(self, strategy: Any) -> None:
        size = self.memory_batch_size or self.batch_size or strategy.train_mb_size
        parts = list(torch.split(torch.randperm(len(self.buffer)), size))
        if len(parts[-1]) == 1 < size and len(parts) > 1 and _normalises(strategy.model):
            parts[-2:] = [torch.cat(parts[-2:])]
        for rows in parts:
            self._step_on(strategy, self.buffer.read(rows))

    def _set_rate(self, strategy: Any, factor: float | None) -> None:
        """Set the learning rates to a multiple of the strategy's own; None puts those back."""
        groups = strategy.optimizer.param_groups
        if self._rates is None:
            self._rates = [group["lr"] for group in groups]
        for group, own in zip(groups, self._rates, strict=True):
            group["lr"] = own if factor is None else own * factor
        if factor is None:
            self._rates = None


def warm_restarts(epochs: int) -> list[float]:
    """The authors' factors: 0.1, 1, then cosine annealing with restarts of doubling length."""
    factors = [0.1, 1.0][:epochs]
    length, place = 1, 0
    while len(factors) < epochs:
        place += 1
        if place == length:
            length, place = 2 * length, 0
        factors.append(0.01 + 0.99 * (1 + math.cos(math.pi * place / length)) / 2)
    return factors


def _rate(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ArgumentError(f"{name}: got {value!r}; a positive number is needed")
    return float(value)


def _normalises(model: nn.Module) -> bool:
    return any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in model.modules())


def _redraw_head(model: nn.Module) -> None:
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise ArgumentError(
            f"reset_head: {type(model).__name__} has no Linear layer that could be drawn anew; use "
            "reset_head=False"
        )
    layers[-1].reset_parameters()
