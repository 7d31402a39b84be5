"""Class-balancing reservoir sampling (Chrysakis and Moens 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe


class ClassBalancingReservoir(Method):
    """`buffers.ClassBalancingReservoirBuffer` with its defaults."""

    title = "CBRS: protects rare classes."
    helps = "unequal classes, in batches without end, and wrong labels"
    checked = "a sequential reading of the rule"
    streaming = True

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `ClassBalancingReservoirBuffer`."""
        from buffers import ClassBalancingReservoirBuffer

        return ClassBalancingReservoirBuffer(memory_size, seed=seed)
