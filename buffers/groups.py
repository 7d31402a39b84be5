"""A buffer's exemplars class by class, as Avalanche's class-balanced buffer has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from avalanche.benchmarks.utils.data import AvalancheDataset

if TYPE_CHECKING:
    from buffers.base import Buffer


class ClassGroup:
    """The exemplars of one class, with the part of Avalanche's buffer interface that is read."""

    def __init__(self, buffer: Buffer, label: int) -> None:
        self._buffer = buffer
        self.label = label

    @property
    def max_size(self) -> int:
        """Exemplars of this class that are held."""
        return self._buffer.class_counts()[self.label]

    @property
    def buffer(self) -> AvalancheDataset[Any]:
        """The exemplars of this class as a data set."""
        return self._buffer.view_of_class(self.label)
