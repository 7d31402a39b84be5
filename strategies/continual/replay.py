"""Replay straight from a buffer, inside any Avalanche strategy.

Sources: Ratcliff 1990; Chaudhry et al. 2019, "On Tiny Episodic Memories in Continual Learning"
(experience replay with a small memory); Buzzega et al. 2020, "Rethinking Experience Replay" (the
memory is updated after each iteration with the rows of the stream, never with replayed ones).

Differs from Avalanche's `ReplayPlugin`: exemplars are drawn anew for each iteration, without a
loader; rows are marked as replayed or not; exemplar weights reach the loss; the stream's loader
is left alone, or replaced by the fast path.
"""

from __future__ import annotations

from typing import Any

import torch
from avalanche.training.templates.problem_type import SupervisedProblem
from torch import Tensor

from buffers.base import Buffer
from buffers.exemplars import Exemplars
from buffers.retrieval import Retrieval, retrieval_rule
from buffers.retrieval.uniform import Uniform, distinct
from clcore.errors import ArgumentError
from strategies.continual.fast_stream import FastStream
from strategies.continual.joining import ReplayMask, ReplayWeights, join
from strategies.continual.memory_plugin import MemoryPlugin
from strategies.continual.weighted_loss import WeightedLoss


class Replay(MemoryPlugin):
    """Adds exemplars to each mini-batch.

    Before each iteration `strategy.mbatch` becomes the mini-batch followed by the exemplars drawn
    (x, y and, last, the task labels where the stream has them), so every plugin that works on the
    mini-batch composes with it, and so do multi-head models and the meta-learning templates. What
    is replayed stands in `strategy.is_replay` (bool, one for each row) and `strategy.replayed`
    (the `Exemplars`, or None). While the buffer is empty nothing is replayed.

    Exemplar weights: where the weights in the memory differ, the criterion is taken as a weighted
    mean over the rows. A row of the stream has weight 1; replayed rows have theirs divided by the
    memory's mean weight, so replay as a whole keeps its share of the batch whatever the scale
    of the weights. What other plugins add to the loss is untouched. Equal weights leave the
    criterion's own value, bit for bit.

    Args:
        buffer: Any buffer.
        batch_size: Exemplars an iteration; as many as the stream's mini-batch by default.
        retrieval: Which exemplars: the name of a retrieval rule, or one of your own. It is given
            the model, the optimizer and the mini-batch (`model`, `optimizer`, `x`, `y`, `task`).
        weighted: Whether exemplar weights reach the loss.
        update: When the buffer is offered the stream: `"experience"`, after the training of each
            experience; or `"iteration"`, after each iteration the rows of its mini-batch, each
            row of an experience once, in the first epoch. With the fast path these are the
            untransformed rows; without it the mini-batch's rows are stored as they are
            (transformed), and not transformed again when replayed.
        fast: Whether to iterate the stream as tensors too: True, or a `FastStream` with options.
        replay_current: Whether rows of the experience in training may be replayed already
            (matters with `update="iteration"`). False works with uniform retrieval only.
        separate: Take a step of its own on the exemplars after each step on the mini-batch, as
            Aljundi et al. 2019 (GSS) do, instead of one step on both together. What other plugins
            add to the loss is then part of the step on the mini-batch only.

    Raises:
        ArgumentError: An argument is wrong.

    Example:
        >>> from buffers import ReservoirBuffer
        >>> plugins = [Replay(ReservoirBuffer(500), batch_size=32)]  # for Naive(plugins=plugins)
    """

    def __init__(
        self,
        buffer: Buffer,
        batch_size: int | None = None,
        retrieval: str | Retrieval = "uniform",
        *,
        weighted: bool = True,
        update: str = "experience",
        fast: bool | FastStream = False,
        replay_current: bool = True,
        separate: bool = False,
    ) -> None:
        super().__init__(buffer, update=update, fast=fast)
        if batch_size is not None and (
            isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1
        ):
            raise ArgumentError(f"batch_size: got {batch_size!r}; a positive integer is needed")
        rule = retrieval_rule(retrieval)
        if not replay_current and not isinstance(rule, Uniform):
            raise ArgumentError(
                f"replay_current: False needs uniform retrieval, not {type(rule).__name__}"
            )
        self.batch_size = batch_size
        self.retrieval = rule
        self.weighted = weighted
        self.replay_current = replay_current
        self.separate = separate
        self._mask = ReplayMask()
        self._weights = ReplayWeights(buffer)
        self._criterion: _WeightedCriterion | None = None
        self._loss: WeightedLoss | None = None

    # -- Avalanche calls these, in this order --------------------------------------------------

    def before_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        """Add exemplars to the mini-batch."""
        super().before_training_iteration(strategy, **kwargs)
        self._uninstall(strategy)
        mbatch = strategy.mbatch
        rows = len(mbatch[1])
        drawn = None if self.separate else self._draw(strategy, mbatch)
        strategy.replayed = drawn
        strategy.is_replay = self._mask(rows, 0 if drawn is None else len(drawn), mbatch[1].device)
        if drawn is None:
            return
        strategy.mbatch = join(mbatch, drawn, self.buffer.attributes)
        if self.weighted:
            weights = self._weights.of(rows, drawn)
            if weights is not None:
                self._install(strategy, weights.to(mbatch[1].device))

    def before_backward(self, strategy: Any, **kwargs: Any) -> None:
        """The weighted criterion has done its work; put the strategy's own back."""
        if self._criterion is not None and self._criterion.used:
            self._uninstall(strategy)

    def after_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        """Step on the exemplars, where that is separate; offer the mini-batch to the buffer."""
        if self._criterion is not None:
            self._uninstall(strategy)
            raise ArgumentError(
                f"weighted: {type(strategy).__name__} doesn't take its loss from "
                "`strategy.criterion()`, so exemplar weights can't reach it; use weighted=False"
            )
        if self.separate:
            self._step(strategy)
        super().after_training_iteration(strategy, **kwargs)

    def before_eval(self, strategy: Any, **kwargs: Any) -> None:
        """An interrupted iteration may have left its criterion."""
        self._uninstall(strategy)

    # -- how ---------------------------------------------------------------------------------

    def _draw(self, strategy: Any, mbatch: list[Tensor]) -> Exemplars | None:
        buffer = self.buffer
        if len(buffer) == 0:
            return None
        wanted = self.batch_size or strategy.train_mb_size
        if not self.replay_current and buffer.seen > self._seen_before:
            earlier = torch.nonzero(buffer.store.born < self._seen_before).view(-1)
            if len(earlier) == 0:
                return None
            chosen = distinct(len(earlier), wanted, buffer.generator)
            return buffer.read(earlier[chosen.to(earlier.device)])
        return buffer.sample(
            wanted,
            self.retrieval,
            model=strategy.model,
            optimizer=strategy.optimizer,
            x=mbatch[0],
            y=mbatch[1],
            task=mbatch[-1] if len(mbatch) > 2 else None,
        )

    def _step(self, strategy: Any) -> None:
        """One optimiser step on exemplars alone."""
        drawn = self._draw(strategy, self._incoming)
        strategy.replayed = drawn
        if drawn is not None:
            self._step_on(strategy, drawn)

    def _step_on(self, strategy: Any, drawn: Exemplars) -> None:
        strategy.optimizer.zero_grad()
        logits = self.forward_exemplars(strategy, drawn)
        y = drawn.y.to(logits.device)
        weights = self._weights.of(0, drawn) if self.weighted else None
        if weights is None:
            loss = strategy._criterion(logits, y)
        else:
            loss = self._weighted(strategy)(logits, y, weights.to(logits.device))
        loss.backward()
        strategy.optimizer.step()
        self.rows_beside += len(drawn)

    def _weighted(self, strategy: Any) -> WeightedLoss:
        if self._loss is None or self._loss.criterion is not strategy._criterion:
            self._loss = WeightedLoss(strategy._criterion)
        return self._loss

    def _install(self, strategy: Any, weights: Tensor) -> None:
        if type(strategy).criterion is not SupervisedProblem.criterion:
            raise ArgumentError(
                f"weighted: {type(strategy).__name__} has a criterion of its own, which exemplar "
                "weights can't reach; use weighted=False"
            )
        loss = self._weighted(strategy)
        self._criterion = strategy.criterion = _WeightedCriterion(strategy, loss, weights)

    def _uninstall(self, strategy: Any) -> None:
        if self._criterion is not None:
            self._criterion = None
            del strategy.criterion  # the instance's; the class's own method shows again


class _WeightedCriterion:
    """Stands in for `strategy.criterion` during one iteration."""

    def __init__(self, strategy: Any, loss: WeightedLoss, weights: Tensor) -> None:
        self._strategy = strategy
        self._loss = loss
        self._weights = weights
        self.used = False

    def __call__(self) -> Tensor:
        self.used = True
        y, weights = self._strategy.mb_y, self._weights
        if len(y) > len(weights):  # rows that another plugin has added after ours
            weights = torch.cat([weights, weights.new_ones(len(y) - len(weights))])
        return self._loss(self._strategy.mb_output, y, weights)
