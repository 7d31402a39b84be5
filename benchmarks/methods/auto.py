"""The memory to take by default: equal classes, herding, labels that neighbours bear out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe


class Auto(Method):
    """`buffers.AutoBuffer` with its defaults."""

    title = "Equal classes; typical samples whose label their neighbours bear out."
    helps = "when you don't want to choose; unequal classes and wrong labels above all"
    checked = "a sequential reading; the suites"

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """An `AutoBuffer`."""
        from buffers import AutoBuffer

        return AutoBuffer(memory_size, seed=seed, probe=probe)
