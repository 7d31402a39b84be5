"""OCS (Yoon et al. 2022): train on and keep the part of each batch that stands for the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from benchmarks.suites import Suite
    from buffers import Buffer
    from clcore import Probe
    from strategies import FastStream, MemoryPlugin


class OCS(Method):
    """`buffers.OCSBuffer` trained with by `strategies.OCS`, whatever the suite's training.

    It picks as many rows as the others' batches have, of larger batches where the suite gives it
    such; else it trains on whole batches.
    """

    title = "Trains on and keeps the representative, diverse part of each batch (OCS)."
    helps = "large stream batches of which few rows are worth a step"
    checked = "float64 autograd scores; a written-out loop"
    streaming = True
    picks_of_batch = True

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `OCSBuffer`."""
        from buffers import OCSBuffer

        return OCSBuffer(memory_size, seed=seed, probe=probe)

    def build_plugin(self, buffer: Buffer, suite: Suite, fast: FastStream) -> MemoryPlugin:
        """The method's own training."""
        from buffers import OCSBuffer
        from strategies import OCS

        assert isinstance(buffer, OCSBuffer)  # what `build_buffer` made
        buffer.picks = suite.batch_size
        return OCS(buffer, replay_batch_size=suite.replay_batch_size, fast=fast)
