"""The greedy coreset by bilevel optimisation (Borsos et al. 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe


class GreedyCoreset(Method):
    """`buffers.GreedyCoresetBuffer` with its defaults."""

    title = "A weighted coreset of each task by bilevel optimisation (Borsos)."
    helps = "very small memories chosen once from a thousand rows"
    checked = "autograd through a converged inner problem"
    streaming = False

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `GreedyCoresetBuffer`."""
        from buffers import GreedyCoresetBuffer

        return GreedyCoresetBuffer(memory_size, seed=seed, probe=probe)
