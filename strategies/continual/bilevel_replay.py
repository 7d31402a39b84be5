"""Replay of the whole memory in each step, task by task, with weights (Borsos et al. 2020).

Source: Borsos, Mutný and Krause 2020, "Coresets via Bilevel Optimization for Continual Learning
and Streaming", section 4: with the memories C_1 … C_{t−1} of the tasks so far, each mini-batch B
of task t is trained on

    mean_B ℓ + β Σ_{τ < t} Σ_{i ∈ C_τ} w_i ℓ_i / Σ_{i ∈ C_τ} w_i.

Defaults: β = 1. The authors tune β for each method over six decades; their best on Permuted MNIST
is 0.01 for nearly every method, on Split MNIST 10 to 100 (the files of their repository). The tasks
are the stream's task labels, or its experiences where it has none.

Differs from the authors' code: weights are kept and used; there they are thrown away (ones).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from buffers.base import Buffer
from clcore.errors import ArgumentError
from strategies.continual.fast_stream import FastStream
from strategies.continual.memory_plugin import MemoryPlugin
from strategies.continual.weighted_loss import WeightedLoss


class BilevelReplay(MemoryPlugin):
    """Adds β times the loss of the whole memory, a mean for each task, to the loss of each step.

    Meant for small memories (about a hundred exemplars): every step runs all of them through the
    model. What is replayed stands in `strategy.replayed`.

    Args:
        buffer: Any buffer; `GreedyCoresetBuffer` is the authors'.
        beta: Weight β of each task's memory.
        weighted: Whether exemplar weights count within a task.
        update: See `MemoryPlugin`.
        fast: See `MemoryPlugin`.

    Raises:
        ArgumentError: An argument is wrong.

    Example:
        >>> from buffers import ReservoirBuffer
        >>> plugins = [BilevelReplay(ReservoirBuffer(100), beta=0.01)]  # for Naive(plugins=plugins)
    """

    def __init__(
        self,
        buffer: Buffer,
        beta: float = 1.0,
        *,
        weighted: bool = True,
        update: str = "experience",
        fast: bool | FastStream = False,
    ) -> None:
        super().__init__(buffer, update=update, fast=fast)
        if isinstance(beta, bool) or not isinstance(beta, int | float) or not 0 <= beta < 1e12:
            raise ArgumentError(f"beta: got {beta!r}; a number of at least 0 is needed")
        self.beta = float(beta)
        self.weighted = weighted
        self._loss: WeightedLoss | None = None

    def before_backward(self, strategy: Any, **kwargs: Any) -> None:
        """Add the loss of the memory."""
        buffer = self.buffer
        if len(buffer) == 0 or self.beta == 0:
            return
        drawn = buffer.all()
        strategy.replayed = drawn
        if self._loss is None or self._loss.criterion is not strategy._criterion:
            self._loss = WeightedLoss(strategy._criterion)
        logits = self.forward_exemplars(strategy, drawn)
        losses = self._loss.each(logits, drawn.y.to(logits.device))
        weights = drawn.weight.to(losses) if self.weighted else torch.ones_like(losses)
        tasks = buffer.stored_tasks().to(losses.device)
        strategy.loss = strategy.loss + self.beta * sum_of_means(losses, weights, tasks)
        self.rows_beside += len(drawn)


def sum_of_means(losses: Tensor, weights: Tensor, groups: Tensor) -> Tensor:
    """Add up the weighted mean of each group; a group without weight counts nothing.

    Args:
        losses: `[m]`.
        weights: `[m]`, none negative.
        groups: `[m]` int64.

    Returns:
        A scalar.
    """
    _, which = torch.unique(groups, return_inverse=True)
    total = losses.new_zeros(int(which.max()) + 1).index_add(0, which, weights)
    share = weights / total.clamp_min(torch.finfo(losses.dtype).tiny)[which]
    return (share * losses).sum()
