"""What every plugin that trains with a memory shares: when the memory is offered the stream.

Sources: Chaudhry et al. 2019, "On Tiny Episodic Memories in Continual Learning" (after each
step); Buzzega et al. 2020, "Rethinking Experience Replay" (the rows of the stream, never those
replayed).
"""

from __future__ import annotations

from typing import Any

import torch
from avalanche.core import SupervisedPlugin
from avalanche.models import avalanche_forward
from torch import Tensor

from buffers.base import Buffer
from buffers.exemplars import Exemplars
from buffers.stream import Rows
from clcore.errors import ArgumentError
from strategies.continual.fast_stream import FastStream
from strategies.continual.table import TASKS, BatchRows, TableLoader

_UPDATES = ("experience", "iteration")


class MemoryPlugin(SupervisedPlugin):
    """Feeds a buffer while an Avalanche strategy trains; subclasses say how it is used.

    Args:
        buffer: Any buffer.
        update: When the buffer is offered the stream: `"experience"`, after the training of each
            experience; or `"iteration"`, after each iteration the rows of its mini-batch, each
            row of an experience once, in the first epoch. With the fast path these are the
            untransformed rows; without it the mini-batch's rows are stored as they are
            (transformed), and not transformed again when replayed.
        fast: Whether to iterate the stream as tensors too: True, or a `FastStream` with options.

    Attributes:
        rows_beside: Rows that were trained on so far beside those in `strategy.mbatch`.

    Raises:
        ArgumentError: An argument is wrong.
    """

    def __init__(
        self,
        buffer: Buffer,
        *,
        update: str = "experience",
        fast: bool | FastStream = False,
    ) -> None:
        super().__init__()
        if not isinstance(buffer, Buffer):
            raise ArgumentError(
                f"buffer: got a {type(buffer).__name__}; one of the classes in `buffers` is needed"
            )
        if update not in _UPDATES:
            raise ArgumentError(f"update: got {update!r}; it is one of {', '.join(_UPDATES)}")
        self.buffer = buffer
        self.update = update
        self.fast = fast if isinstance(fast, FastStream) else FastStream() if fast else None
        self.rows_beside = 0
        self._incoming: list[Tensor] = []
        self._offered = torch.empty(0, dtype=torch.bool)
        self._first_epoch = True
        self._seen_before = 0
        self._acquainted = False

    # -- Avalanche calls these, in this order --------------------------------------------------

    def before_training(self, strategy: Any, **kwargs: Any) -> None:
        """Start with nothing replayed."""
        strategy.is_replay, strategy.replayed = None, None
        if self.fast is not None:
            self.fast.before_training(strategy, **kwargs)

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Prepare for an experience; with the fast path, read it."""
        if self.fast is not None:
            self.fast.before_training_exp(strategy, **kwargs)
            if self._loader is not None:
                self._offered = torch.zeros(len(self._loader.table), dtype=torch.bool)
        self._seen_before = self.buffer.seen
        self._first_epoch = True
        raw = self.update == "experience" or self._loader is not None
        if not self._acquainted and raw:
            # A buffer from a file holds untransformed rows and doesn't know the stream yet.
            self._acquainted = True
            if len(self.buffer) and self.buffer.eval_transform is None:
                self.buffer.adopt(strategy.experience.dataset)

    def before_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        """Remember the stream's mini-batch."""
        self._incoming = strategy.mbatch

    def after_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        """Offer the mini-batch to the buffer, where it is updated at each iteration."""
        if self.update == "iteration" and self._last_pass:
            self._offer(strategy)
        self._incoming = []

    def after_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        """Remember that every row has been offered once."""
        self._first_epoch = False

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Offer the experience to the buffer, where it is updated after each experience."""
        if self.fast is not None:
            self.fast.after_training_exp(strategy, **kwargs)
        if self.update == "experience":
            self.buffer.post_adapt(strategy, strategy.experience)

    def after_training(self, strategy: Any, **kwargs: Any) -> None:
        """Leave nothing behind on the strategy."""
        strategy.is_replay, strategy.replayed = None, None

    def before_eval_exp(self, strategy: Any, **kwargs: Any) -> None:
        """With the fast path, evaluate from tensors."""
        if self.fast is not None:
            self.fast.before_eval_exp(strategy, **kwargs)

    # -- saving ------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The buffer's state; between experiences there is nothing else."""
        return {"buffer": self.buffer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state.

        Raises:
            FormatError: The state is of another kind of buffer, or incomplete.
        """
        self.buffer.load_state_dict(state["buffer"])
        self._acquainted = False

    # -- for subclasses ------------------------------------------------------------------------

    @property
    def _loader(self) -> TableLoader | None:
        """Where untransformed rows of the stream are at hand."""
        return None if self.fast is None else self.fast.loader

    @property
    def _last_pass(self) -> bool:
        """Whether the mini-batch in training is not trained on again at once."""
        loader = self._loader
        return loader is None or loader.last_pass

    def _offer(self, strategy: Any) -> None:
        """Offer the rows of the mini-batch that were not offered before."""
        found = self._rows_now()
        if found is not None:
            self.buffer.offer_rows(found[0], strategy)

    def _rows_now(self, chosen: Tensor | None = None) -> tuple[Rows, Tensor] | None:
        """The rows of the stream's mini-batch that the buffer has not been offered yet.

        They count as offered from here on.

        Args:
            chosen: Positions in the mini-batch, `[m]` int64: only these.

        Returns:
            The rows, and the position in the mini-batch of each; None where there are none.
        """
        loader = self._loader
        if loader is None:
            if not self._first_epoch:
                return None
            x, y, *rest = self._incoming
            where = torch.arange(len(y)) if chosen is None else chosen.cpu()
            here = where.to(y.device)
            fields = {TASKS: rest[-1][here]} if rest else {}
            return BatchRows(x.detach()[where.to(x.device)], y[here], fields), where
        where = torch.arange(len(loader.index)) if chosen is None else chosen.cpu()
        index = loader.index[where]
        if loader.repeats or not self._first_epoch:
            fresh = ~self._offered[index]
            where, index = where[fresh], index[fresh]
            if loader.repeats:  # an over-sampled task may have a row twice in a mini-batch
                index, first = _distinct(index)
                where = where[first]
        if len(index) == 0:
            return None
        self._offered.index_fill_(0, index, True)
        return loader.table.take(index), where

    @staticmethod
    def forward_exemplars(strategy: Any, drawn: Exemplars) -> Tensor:
        """Run exemplars through the strategy's model as in training.

        Args:
            strategy: The strategy.
            drawn: The exemplars.

        Returns:
            Logits `[m, C]`, with their graph.
        """
        x, task = drawn.x.to(strategy.device), drawn.task.to(strategy.device)
        logits: Tensor = avalanche_forward(strategy.model, x, task)
        return logits


def _distinct(values: Tensor) -> tuple[Tensor, Tensor]:
    """Distinct values, ascending, and the position of the first of each."""
    distinct, inverse = torch.unique(values, return_inverse=True)
    first = torch.full((len(distinct),), len(values))
    first.scatter_reduce_(0, inverse, torch.arange(len(values)), "amin")
    return distinct, first
