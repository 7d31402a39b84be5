"""ASER's update alone (Shim et al. 2021), read uniformly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe


class ASERUpdate(Method):
    """`buffers.ASERBuffer` with its defaults."""

    title = "ASER's memory, read uniformly."
    helps = "as `aser`, read uniformly"
    checked = "all subsets of small problems"
    streaming = True

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `ASERBuffer`."""
        from buffers import ASERBuffer

        return ASERBuffer(memory_size, seed=seed, probe=probe)
