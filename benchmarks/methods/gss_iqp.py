"""GSS as a quadratic program (Aljundi et al. 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe


class GSSIQP(Method):
    """`buffers.GSSBuffer`, the variant `iqp`."""

    title = "The subset whose gradients agree least, by a quadratic program (GSS-IQP)."
    helps = "to compare with the published GSS figures"
    checked = "all subsets of small problems"
    streaming = True

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `GSSBuffer`."""
        from buffers import GSSBuffer

        return GSSBuffer(memory_size, variant="iqp", seed=seed, probe=probe)
