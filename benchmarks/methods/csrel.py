"""CSReL (ICLR 2025): the largest reducible loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe


class CSReL(Method):
    """`buffers.CSReLBuffer` with its defaults."""

    title = "The samples with the largest reducible loss (CSReL)."
    helps = "pools with enough data to train a reference proxy"
    checked = "written-out rounds"
    streaming = False

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `CSReLBuffer`."""
        from buffers import CSReLBuffer

        return CSReLBuffer(memory_size, seed=seed, probe=probe)
