"""Random choice within each class of each task: the control where classes come again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe


class RandomByTask(Method):
    """`buffers.SelectorBuffer` with the selector `random` and equal quotas a class and task."""

    title = "A random choice, equal for each class of each task."
    helps = "the control where the same classes come again in other tasks"
    checked = "statistics"

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `SelectorBuffer`."""
        from buffers import SelectorBuffer

        return SelectorBuffer("random", memory_size, quota="class-and-task", seed=seed, probe=probe)
