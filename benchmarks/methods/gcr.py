"""GCR (Tiwari et al. 2022): a weighted memory that matches gradients, replayed with its logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from benchmarks.suites import Suite
    from buffers import Buffer
    from clcore import Probe
    from strategies import FastStream, MemoryPlugin


class GCR(Method):
    """`buffers.GCRBuffer` trained with by `strategies.GCR`, whatever the suite's training."""

    title = "Weighted gradient matching, replayed with labels and logits (GCR)."
    helps = "several epochs, a model whose logits are worth keeping"
    checked = "float64 matching pursuit; a written-out step"
    streaming = False

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `GCRBuffer`."""
        from buffers import GCRBuffer

        return GCRBuffer(memory_size, seed=seed, probe=probe)

    def build_plugin(self, buffer: Buffer, suite: Suite, fast: FastStream) -> MemoryPlugin:
        """The method's own training."""
        from strategies import GCR

        return GCR(buffer, suite.replay_batch_size, fast=fast)
