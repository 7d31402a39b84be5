"""GDumb: forget everything and learn the memory from nothing, again and again.

Source: Prabhu, Torr and Dokania 2020, "GDumb: A Simple Approach that Questions Our Progress in
Continual Learning" (ECCV). The stream only feeds the memory; whenever the network is asked for, it
is trained from its first weights on the memory alone. A baseline: a continual learner that does not
beat it makes no use of having seen the stream.

Defaults: 50 epochs with the strategy's own optimiser and mini-batches. The authors train with SGDR
(0.05 to 0.0005), CutMix and up to 256 epochs; give the strategy such an optimiser and schedule for
their setting.

Differs from Avalanche's `GDumbPlugin`: any buffer; each row of the stream is offered once; the
first weights are those that the model had (there, `reset_parameters` of whatever has it); the
optimiser forgets its state as well.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from buffers.base import Buffer
from clcore.checks import whole_number
from strategies.continual.fast_stream import FastStream
from strategies.continual.memory_plugin import MemoryPlugin


class GDumb(MemoryPlugin):
    """Trains from the first weights on the memory alone, after the memory took in the experience.

    Args:
        buffer: The memory; `GDumbBuffer` is the paper's.
        epochs: Epochs on the memory.
        fast: See `MemoryPlugin`.

    Raises:
        ArgumentError: An argument is wrong.

    Example:
        >>> from buffers import GDumbBuffer
        >>> plugins = [GDumb(GDumbBuffer(500))]  # for Naive(plugins=plugins)
    """

    def __init__(
        self, buffer: Buffer, *, epochs: int = 50, fast: bool | FastStream = False
    ) -> None:
        super().__init__(buffer, update="iteration", fast=fast)
        self.epochs = whole_number("epochs", epochs, least=1)
        self._first: dict[str, Tensor] = {}
        self._epochs_before = 0

    def after_train_dataset_adaptation(self, strategy: Any, **kwargs: Any) -> None:
        """Offer the experience to the memory, and put the memory in its place."""
        self.buffer.post_adapt(strategy, strategy.experience)
        strategy.adapted_dataset = self.buffer.buffer.train()

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Go back to the first weights."""
        super().before_training_exp(strategy, **kwargs)
        with torch.no_grad():
            for name, value in strategy.model.state_dict().items():
                # Units that came later (a growing head) begin where they began.
                first = self._first.setdefault(name, value.clone())
                if first.shape != value.shape:
                    self._first[name] = first = value.clone()
                value.copy_(first)
        strategy.optimizer.state.clear()
        self._epochs_before = strategy.train_epochs
        strategy.train_epochs = self.epochs

    def after_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        """Nothing: what is trained on is the memory itself."""

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Put the strategy's own number of epochs back."""
        super().after_training_exp(strategy, **kwargs)
        strategy.train_epochs = self._epochs_before

    def state_dict(self) -> dict[str, Any]:
        """The buffer's state and the first weights."""
        return {**super().state_dict(), "first": dict(self._first)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state.

        Raises:
            FormatError: The state is of another kind of buffer, or incomplete.
        """
        super().load_state_dict(state)
        self._first = dict(state["first"])
