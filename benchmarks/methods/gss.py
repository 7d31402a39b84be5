"""GSS, greedy (Aljundi et al. 2019): gradients that point in different directions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe


class GSS(Method):
    """`buffers.GSSBuffer` with its defaults."""

    title = "Gradients that differ from those in memory replace those that don't (GSS-Greedy)."
    helps = "unequal streams whose labels can't be used to balance; behind a reservoir on others"
    checked = "a float64 loop with autograd gradients"
    streaming = True

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `GSSBuffer`."""
        from buffers import GSSBuffer

        return GSSBuffer(memory_size, seed=seed, probe=probe)
