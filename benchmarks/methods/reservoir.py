"""Experience replay from a reservoir (Vitter 1985; Chaudhry et al. 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe


class Reservoir(Method):
    """`buffers.ReservoirBuffer` with its defaults."""

    title = "Every sample seen is kept with the same probability."
    helps = "balanced streams; the baseline to beat, at no cost"
    checked = "inclusion statistics; Buzzega et al. 2020's figures"
    streaming = True

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `ReservoirBuffer`."""
        from buffers import ReservoirBuffer

        return ReservoirBuffer(memory_size, seed=seed)
