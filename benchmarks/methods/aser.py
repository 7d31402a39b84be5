"""ASER (Shim et al. 2021): Shapley values decide what is kept and what is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe


class ASER(Method):
    """`buffers.ASERBuffer` read by the retrieval rule `aser`."""

    title = "Shapley values of nearest neighbours decide what is kept and read (ASER)."
    helps = "online streams, memories that hold many rows a class"
    checked = "all subsets of small problems; a sequential reading"
    streaming = True
    retrieval = "aser"

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `ASERBuffer`."""
        from buffers import ASERBuffer

        return ASERBuffer(memory_size, seed=seed, probe=probe)
