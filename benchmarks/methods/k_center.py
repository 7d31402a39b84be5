"""k-center: every sample of a class lies near some exemplar (Sener and Savarese 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe


class KCenter(Method):
    """`buffers.SelectorBuffer` with the selector `k-center`, equal quotas a class."""

    title = "Farthest-first traversal of each class in feature space."
    helps = "small clean data; it seeks the outliers"
    checked = "brute-force greedy, twice the optimum"

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `SelectorBuffer`."""
        from buffers import SelectorBuffer

        return SelectorBuffer("k-center", memory_size, seed=seed, probe=probe)
