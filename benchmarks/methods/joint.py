"""Training on all experiences at once, with as many passes over the data: the upper reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from clcore import Probe


class Joint(Method):
    """No memory, no sequence: the upper reference point."""

    title = "Train on all experiences at once."
    helps = "not a memory: all data at once, the usual upper end"
    checked = "Buzzega et al. 2020's figure"
    has_memory = False
    joint = True
    streaming = True

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> None:
        """No memory."""
