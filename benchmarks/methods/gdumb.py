"""GDumb (Prabhu et al. 2020): the network is trained from nothing on a balanced memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from benchmarks.suites import Suite
    from buffers import Buffer
    from clcore import Probe
    from strategies import FastStream, MemoryPlugin


class GDumb(Method):
    """`buffers.GDumbBuffer` trained with by `strategies.GDumb`, whatever the suite's training."""

    title = "A balanced memory, and a network trained on it alone from nothing (GDumb)."
    helps = "the check whether the stream was of any use"
    checked = "a sequential reading; training written out"
    streaming = False

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `GDumbBuffer`."""
        from buffers import GDumbBuffer

        return GDumbBuffer(memory_size, seed=seed)

    def build_plugin(self, buffer: Buffer, suite: Suite, fast: FastStream) -> MemoryPlugin:
        """The method's own training: one step a mini-batch, whatever a suite does on its stream."""
        from strategies import FastStream, GDumb

        if fast.passes > 1:
            fast = FastStream(max_bytes=fast.max_bytes, evaluate=fast.evaluate)
        return GDumb(buffer, fast=fast)
