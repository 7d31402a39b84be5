"""The streaming coreset by bilevel optimisation, in one slot (Borsos et al. 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe


class GreedyCoresetStream(Method):
    """`buffers.GreedyCoresetBuffer` that merges each chunk of a stream into one coreset.

    One slot and λ = 1e-4, as the authors have it on imbalanced streams.
    """

    title = "One weighted coreset of the stream so far, chosen again at each chunk (Borsos)."
    helps = "small memories on streams that come in chunks, as Borsos et al. have it"
    checked = "the buffer's slots by brute force; the selector by autograd"
    # A chunk is added as a whole, not mini-batch by mini-batch.
    streaming = False

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `GreedyCoresetBuffer`."""
        from buffers import GreedyCoresetBuffer
        from clcore.selectors.greedy_coreset import GreedyCoreset

        return GreedyCoresetBuffer(
            memory_size,
            streaming=True,
            slots=1,
            selector=GreedyCoreset(regularisation=1e-4),
            seed=seed,
            probe=probe,
        )
