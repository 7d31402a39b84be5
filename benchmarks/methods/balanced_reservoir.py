"""Experience replay from a reservoir that evicts from the largest class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe


class BalancedReservoir(Method):
    """`buffers.BalancedReservoirBuffer` with its defaults."""

    title = "Reservoir that evicts from the largest class."
    helps = "small memories on streams of nearly equal classes"
    checked = "a sequential reading of the rule"
    streaming = True

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `BalancedReservoirBuffer`."""
        from buffers import BalancedReservoirBuffer

        return BalancedReservoirBuffer(memory_size, seed=seed)
