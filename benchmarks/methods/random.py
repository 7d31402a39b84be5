"""Class-balanced random choice: what any other selector has to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe


class Random(Method):
    """`buffers.SelectorBuffer` with the selector `random`, equal quotas a class."""

    title = "A class-balanced random choice after each experience."
    helps = "the control for every choice at the end of an experience"
    checked = "statistics"

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `SelectorBuffer`."""
        from buffers import SelectorBuffer

        return SelectorBuffer("random", memory_size, seed=seed, probe=probe)
