"""Online k-means in feature space (Chaudhry et al. 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe


class KMeans(Method):
    """`buffers.KMeansBuffer` with its defaults."""

    title = "The sample nearest to each of some running centroids a class."
    helps = "a few exemplars a class at known number of classes"
    checked = "a sequential reading of the rule"
    streaming = True

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `KMeansBuffer`."""
        from buffers import KMeansBuffer

        return KMeansBuffer(memory_size, seed=seed, probe=probe)
