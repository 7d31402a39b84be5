"""BCSR (Hao et al. 2023): weights on the simplex by bilevel optimisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe


class BCSR(Method):
    """`buffers.BCSRBuffer` with its defaults."""

    title = "Weights on the simplex with a smoothed top-K term, by bilevel optimisation (BCSR)."
    helps = "noisy or unequal small pools, with its rate tuned"
    checked = "finite differences through a converged inner problem"
    streaming = False

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `BCSRBuffer`."""
        from buffers import BCSRBuffer

        return BCSRBuffer(memory_size, seed=seed, probe=probe)
