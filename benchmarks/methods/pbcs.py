"""PBCS (Zhou et al. 2022): probabilities of being kept, by policy gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe


class PBCS(Method):
    """`buffers.PBCSBuffer` with its defaults."""

    title = "Probabilities of being kept, learned by policy gradient (PBCS)."
    helps = "small pools where training a proxy many times is affordable"
    checked = "enumerated masks; models trained one by one"
    streaming = False

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `PBCSBuffer`."""
        from buffers import PBCSBuffer

        return PBCSBuffer(memory_size, seed=seed, probe=probe)
