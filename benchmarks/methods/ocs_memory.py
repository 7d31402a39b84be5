"""OCS's memory alone (Yoon et al. 2022), under the suite's training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe


class OCSMemory(Method):
    """`buffers.OCSBuffer` with its defaults."""

    title = "OCS's memory, trained with as any other."
    helps = "as `ocs`, where the training step has to stay as it is"
    checked = "float64 autograd scores"
    streaming = True

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `OCSBuffer`."""
        from buffers import OCSBuffer

        return OCSBuffer(memory_size, seed=seed, probe=probe)
