"""GSS by clusters of gradients (Aljundi et al. 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe


class GSSCluster(Method):
    """`buffers.GSSBuffer`, the variant `cluster`."""

    title = "Clusters in the space of gradients, evenly filled (GSS-Clust)."
    helps = "to compare with the published GSS figures"
    checked = "a sequential reading of the rule"
    streaming = True

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `GSSBuffer`."""
        from buffers import GSSBuffer

        return GSSBuffer(memory_size, variant="cluster", seed=seed, probe=probe)
