"""k-means++ seeding in feature space (Arthur and Vassilvitskii 2007; Borsos et al. 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe


class KMeansPlusPlus(Method):
    """`buffers.SelectorBuffer` with the selector `k-means-plus-plus`, equal quotas a class."""

    title = "Seeds drawn in proportion to squared distance, by class."
    helps = "small clean data; it seeks the outliers"
    checked = "scikit-learn's seeding, statistically"

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `SelectorBuffer`."""
        from buffers import SelectorBuffer

        return SelectorBuffer("k-means-plus-plus", memory_size, seed=seed, probe=probe)
