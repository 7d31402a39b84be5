"""Herding within each class of each task, for streams in which classes come again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe


class HerdingByTask(Method):
    """`buffers.HerdingBuffer` with equal quotas a class and task."""

    title = "Herding, equal for each class of each task."
    helps = "typical samples of every task, where the same classes come again"
    checked = "brute force"
    streaming = False

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `HerdingBuffer`."""
        from buffers import HerdingBuffer

        return HerdingBuffer(memory_size, quota="class-and-task", seed=seed, probe=probe)
