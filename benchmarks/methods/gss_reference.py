"""GSS, greedy, as in the authors' released code, which the published numbers come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe


class GSSReference(Method):
    """`buffers.GSSBuffer` with `preset="reference"`."""

    title = "GSS-Greedy as the authors released it: one test for the whole batch."
    helps = "to compare with the published GSS figures"
    checked = "a float64 loop; Aljundi et al. 2019's figures"
    streaming = True

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `GSSBuffer`."""
        from buffers import GSSBuffer

        return GSSBuffer(memory_size, preset="reference", seed=seed, probe=probe)
