"""A ring buffer a class (Lopez-Paz and Ranzato 2017; Chaudhry et al. 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe


class Ring(Method):
    """`buffers.RingBuffer` with its defaults."""

    title = "The latest samples of each class."
    helps = "a few exemplars a class, and no class may vanish"
    checked = "a sequential reading of the rule"
    streaming = True

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `RingBuffer`."""
        from buffers import RingBuffer

        return RingBuffer(memory_size, seed=seed)
