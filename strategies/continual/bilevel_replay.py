"""Replay of the whole memory in each step, task by task, with weights (Borsos et al. 2020).

Source: Borsos, Mutný and Krause 2020, "Coresets via Bilevel Optimization for Continual Learning
and Streaming", section 4: with the memories C_1 … C_{t−1} of the tasks so far, each mini-batch B
of task t is trained on

    mean_B ℓ + β Σ_{τ < t} Σ_{i ∈ C_τ} w_i ℓ_i / Σ_{i ∈ C_τ} w_i.

On a stream in chunks (as in the authors' code) the memory of a reservoir is one group that counts
once, and that of a streaming coreset has a group for each slot s, whose mean counts n_s times, the
number of chunks that it stands for:

    mean_B ℓ + β Σ_s n_s Σ_{i ∈ s} w_i ℓ_i / Σ_{i ∈ s} w_i,

so that with one slot the memory counts t β after t chunks.

Defaults: β = 1. The authors tune β for each method over six decades; their best on Permuted MNIST
is 0.01 for nearly every method, on Split MNIST 10 to 100; on their imbalanced stream it is 100 for
a reservoir, 10 for a class-balancing one and 10 for the coreset in one slot, whose n_s makes 210 of
it in the last of 22 chunks (the files of their repository). The tasks are the stream's task labels,
or its experiences where it has none.

Differs from the authors' code: weights are kept and used; there they are thrown away (ones).
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from buffers.base import Buffer
from buffers.greedy_coreset import GreedyCoresetBuffer
from clcore.errors import ArgumentError
from strategies.continual.fast_stream import FastStream
from strategies.continual.memory_plugin import MemoryPlugin
from strategies.continual.weighted_loss import WeightedLoss

GROUPS = ("task", "memory", "slot")


class BilevelReplay(MemoryPlugin):
    """Adds β times the loss of the whole memory, a mean for each group, to the loss of each step.

    Meant for small memories (about a hundred exemplars): every step runs all of them through the
    model. What is replayed stands in `strategy.replayed`.

    Args:
        buffer: Any buffer; `GreedyCoresetBuffer` is the authors'.
        beta: Weight β of each group's mean.
        groups: What the means are taken over: `"task"`; `"memory"`: one mean of all exemplars; or
            `"slot"`: each slot of a `GreedyCoresetBuffer(streaming=True)`, times the number of
            chunks that it stands for. Other memories have no slots and are one of factor 1.
        weighted: Whether exemplar weights count within a group.
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
        groups: Literal["task", "memory", "slot"] = "task",
        weighted: bool = True,
        update: str = "experience",
        fast: bool | FastStream = False,
    ) -> None:
        super().__init__(buffer, update=update, fast=fast)
        if isinstance(beta, bool) or not isinstance(beta, int | float) or not 0 <= beta < 1e12:
            raise ArgumentError(f"beta: got {beta!r}; a number of at least 0 is needed")
        if groups not in GROUPS:
            raise ArgumentError(f"groups: got {groups!r}; it is one of {', '.join(GROUPS)}")
        self.beta = float(beta)
        self.groups = groups
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
        numbers, factors = self._grouping()
        groups = numbers.to(losses.device)
        factor = None if factors is None else factors.to(losses)
        strategy.loss = strategy.loss + self.beta * sum_of_means(losses, weights, groups, factor)
        self.rows_beside += len(drawn)

    def _grouping(self) -> tuple[Tensor, Tensor | None]:
        """The group of each exemplar, and how often each exemplar's group counts (None: once)."""
        buffer = self.buffer
        if self.groups == "task":
            return buffer.stored_tasks(), None
        if self.groups == "slot" and isinstance(buffer, GreedyCoresetBuffer) and buffer.streaming:
            numbers = buffer.slot_numbers()
            return numbers, buffer.slot_chunks()[numbers]
        return torch.zeros(len(buffer), dtype=torch.int64), None


def sum_of_means(
    losses: Tensor, weights: Tensor, groups: Tensor, factors: Tensor | None = None
) -> Tensor:
    """Add up the weighted mean of each group; a group without weight counts nothing.

    Args:
        losses: `[m]`.
        weights: `[m]`, none negative.
        groups: `[m]` int64.
        factors: `[m]`, how often the group of each counts; None for once.

    Returns:
        A scalar.
    """
    _, which = torch.unique(groups, return_inverse=True)
    total = losses.new_zeros(int(which.max()) + 1).index_add(0, which, weights)
    share = weights / total.clamp_min(torch.finfo(losses.dtype).tiny)[which]
    if factors is not None:
        share = share * factors
    return (share * losses).sum()
