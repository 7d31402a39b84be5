"""GCR's memory alone (Tiwari et al. 2022), under the suite's training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe


class GCRMemory(Method):
    """`buffers.GCRBuffer` with its defaults."""

    title = "GCR's weighted memory, trained with as any other."
    helps = "as `gcr`, where the training step has to stay as it is"
    checked = "float64 matching pursuit"
    streaming = False

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `GCRBuffer`."""
        from buffers import GCRBuffer

        return GCRBuffer(memory_size, seed=seed, probe=probe)
