"""Herding (Rebuffi et al. 2017, iCaRL): the running mean of the picks follows the class mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe


class Herding(Method):
    """`buffers.HerdingBuffer` with its defaults."""

    title = "Samples whose running mean stays near the class mean (iCaRL)."
    helps = "experiences with an end; typical samples, tolerant of wrong labels"
    checked = "brute force; iCaRL's figures"
    streaming = False

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `HerdingBuffer`."""
        from buffers import HerdingBuffer

        return HerdingBuffer(memory_size, seed=seed, probe=probe)
