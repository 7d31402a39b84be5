"""Plain training on one experience after another: what is lost without a memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from clcore import Probe


class Naive(Method):
    """No memory: the lower reference point."""

    title = "Train on each experience in turn, keep nothing."
    helps = "never: it shows what is lost without a memory"
    checked = "–"
    has_memory = False
    streaming = True

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> None:
        """No memory."""
