"""MIR (Aljundi et al. 2019): replay what the coming step would harm most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe


class MIR(Method):
    """`buffers.ReservoirBuffer` read by the retrieval rule `mir`."""

    title = "A reservoir, of which the exemplars are replayed that the coming step harms most."
    helps = "online streams with several steps; costs a virtual step each"
    checked = "a step really taken on a copy"
    streaming = True
    retrieval = "mir"

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `ReservoirBuffer`."""
        from buffers import ReservoirBuffer

        return ReservoirBuffer(memory_size, seed=seed)
