"""Loss-aware reservoir (Buzzega et al. 2020): what is learned well makes room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe


class LossAwareReservoir(Method):
    """`buffers.LossAwareReservoirBuffer` with its defaults."""

    title = "A reservoir in which exemplars with a small loss make room."
    helps = "streams in which most rows are soon learned"
    checked = "statistics; the rule written out"
    streaming = True

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `LossAwareReservoirBuffer`."""
        from buffers import LossAwareReservoirBuffer

        return LossAwareReservoirBuffer(memory_size, seed=seed, probe=probe)
