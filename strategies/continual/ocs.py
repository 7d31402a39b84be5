"""Online coreset selection: trains on the picked part of each mini-batch, and on the coreset.

Source: Yoon, Madaan, Yang and Hwang 2022, "Online Coreset Selection for Rehearsal-based Continual
Learning" (ICLR), and the authors' released code. The scores and the memory: `buffers.ocs`.

Formula: of each stream batch B the κ rows B̂ with the best scores are trained on, with a batch C of
exemplars of past tasks:

    loss = mean_B̂ ℓ + λ mean_C ℓ.

Defaults: λ = 1, |C| = κ = 10. The authors set λ to 10 for Rotated MNIST (50 where it is imbalanced;
0.5 and 0.1 for Split CIFAR-100), but their code divides the replay loss, a mean already, by the
|C| = 10 rows of the replay batch: 10 there is 1 here.

What the plugin does, step by step:

- The mini-batch is scored with the model in evaluation mode, without a trace on the learner; then
  `strategy.mbatch` holds the picked rows only. A mini-batch of κ rows or fewer is trained on
  whole, and scored for the memory.
- Past tasks are the experiences before the one in training. Exemplars of the one in training are
  only candidates: they are neither replayed nor part of the affinity.
- With `affinity="batch"` (the buffer's default) the affinity is that to the exemplars replayed in
  this step; with `"memory"` that to all exemplars of past tasks, as in the released code.
- Only picked rows are offered to the buffer, with the score that they were picked by.
- `warmup_batches`: the first batches of each experience are picked at random, in its first epoch;
  they have no scores and fill the memory only until candidates come. 100 in the released code (of
  600 batches; there in every task, not in the first only), so with `preset="reference"`; else 0.

One pass and several: each row is offered at most once. Without the fast path rows are offered in
the first epoch only, with it a row is offered when it is first picked, in whatever epoch. The
released code makes stream batch / κ passes (10) over a task and takes the picks of the last pass.

Cost, one thread of a busy machine, the fastest of several runs, MLP 784-256-256-10: a plain step
(forward, backward, SGD) takes 0.52 ms with 10 rows and 1.67 ms with 100. Scoring as many rows
against 10 exemplars takes 1.14 and 2.75 ms (2.2 and 1.6 steps); scoring 10 rows against 300
exemplars 8.8 ms, against 3,000 54 ms. With one autograd pass for each sample see `docs/speed.md`.

Models whose heads see some rows of a batch only (multi-head) have no closed form for gradients of
the whole network: make the buffer with `signal="last_layer"`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from buffers.exemplars import Exemplars
from buffers.experiences import experience_number
from buffers.incoming import Incoming
from buffers.ocs import OCSBuffer, best
from buffers.retrieval.uniform import distinct
from buffers.transforms import BatchTransform
from clcore.checks import whole_number
from clcore.errors import ArgumentError
from strategies.continual.fast_stream import FastStream
from strategies.continual.memory_plugin import MemoryPlugin

_WARMUP_OF_THE_REFERENCE = 100


class OCS(MemoryPlugin):
    """Trains on the best-scored rows of each mini-batch and on exemplars of past tasks.

    The stream's mini-batch should be several times larger than `buffer.picks` (100 and 10 with
    the authors). What is replayed stands in `strategy.replayed` (the `Exemplars`, or None).

    Args:
        buffer: The memory; it says how many rows are picked and how they are scored.
        replay_batch_size: Exemplars of past tasks an iteration; all if there are fewer.
        weight: Weight of the replay loss (λ).
        warmup_batches: How many mini-batches of each experience are picked at random first; None
            for what the buffer's preset has: 0, or 100 with `"reference"`.
        fast: See `MemoryPlugin`.

    Raises:
        ArgumentError: An argument is wrong.

    Example:
        >>> plugins = [OCS(OCSBuffer(200), weight=1.0)]  # for Naive(plugins=plugins)
    """

    def __init__(
        self,
        buffer: OCSBuffer,
        *,
        replay_batch_size: int = 10,
        weight: float = 1.0,
        warmup_batches: int | None = None,
        fast: bool | FastStream = False,
    ) -> None:
        super().__init__(buffer, update="iteration", fast=fast)
        if not isinstance(buffer, OCSBuffer):
            raise ArgumentError(f"buffer: got a {type(buffer).__name__}; an OCSBuffer is needed")
        if (
            isinstance(weight, bool)
            or not isinstance(weight, int | float)
            or not 0 <= weight < 1e12
        ):
            raise ArgumentError(f"weight: got {weight!r}; a number of at least 0 is needed")
        self._ocs = buffer
        self.replay_batch_size = whole_number("replay_batch_size", replay_batch_size, least=1)
        self.weight = float(weight)
        if warmup_batches is None:
            warmup_batches = _WARMUP_OF_THE_REFERENCE if buffer.preset == "reference" else 0
        self.warmup_batches = whole_number("warmup_batches", warmup_batches)
        self._batches = 0
        self._pick = torch.empty(0, dtype=torch.int64)
        self._scores: Tensor | None = None
        self._drawn: Exemplars | None = None

    # -- Avalanche calls these, in this order --------------------------------------------------

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Count the mini-batches of the experience anew."""
        super().before_training_exp(strategy, **kwargs)
        self._batches = 0

    def before_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        """Leave the picked rows in the mini-batch."""
        super().before_training_iteration(strategy, **kwargs)
        mbatch = strategy.mbatch
        buffer, rows = self._ocs, len(mbatch[1])
        past = self._past()
        replayed = past
        if len(past):
            chosen = distinct(len(past), self.replay_batch_size, buffer.generator)
            replayed = past[chosen.to(past.device)]
        if self._first_epoch and self._batches < self.warmup_batches:
            self._scores = None
            self._pick = distinct(rows, buffer.picks, buffer.generator)
        else:
            coreset = replayed if buffer.affinity == "batch" else past
            self._scores = buffer.scores(self._offered_now(strategy), torch.arange(rows), coreset)
            self._pick = best(self._scores, buffer.picks)
        self._batches += 1
        if len(self._pick) < rows:
            strategy.mbatch = [field[self._pick.to(field.device)] for field in mbatch]
        self._drawn = buffer.read(replayed) if len(replayed) else None
        strategy.replayed = self._drawn
        strategy.is_replay = torch.zeros(len(self._pick), dtype=torch.bool, device=mbatch[1].device)

    def before_backward(self, strategy: Any, **kwargs: Any) -> None:
        """Add the loss of the replayed exemplars."""
        drawn = self._drawn
        if drawn is None or self.weight == 0:
            return
        logits = self.forward_exemplars(strategy, drawn)
        loss = strategy._criterion(logits, drawn.y.to(logits.device))
        strategy.loss = strategy.loss + self.weight * loss
        self.rows_beside += len(drawn)

    def after_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        """Offer the picked rows to the buffer."""
        super().after_training_iteration(strategy, **kwargs)
        self._scores = self._drawn = None

    # -- how ---------------------------------------------------------------------------------

    def _past(self) -> Tensor:
        """Exemplars that came before the experience in training, `[s]` int64 rows of the store."""
        if len(self._ocs) == 0:
            return torch.empty(0, dtype=torch.int64)
        return torch.nonzero(self._ocs.store.born < self._seen_before).view(-1)

    def _offered_now(self, strategy: Any) -> Incoming:
        """The stream's mini-batch as it would be trained on."""
        x, y, *rest = self._incoming
        labels = y.to("cpu", torch.int64)
        return Incoming(
            x.detach().to(self._ocs.device),
            labels,
            rest[-1].to("cpu", torch.int64) if rest else torch.zeros_like(labels),
            {},
            agent=strategy,
            evaluate=BatchTransform(),  # what the stream does to samples is done
            experience=experience_number(strategy.experience),
        )

    def _offer(self, strategy: Any) -> None:
        found = self._rows_now(self._pick)
        if found is None:
            return
        rows, where = found
        scored = self._scores is not None
        scores = torch.zeros(len(where)) if self._scores is None else self._scores[where]
        candidates = torch.full((len(where),), scored)
        self._ocs.offer_scored(rows, scores, candidates, strategy)
