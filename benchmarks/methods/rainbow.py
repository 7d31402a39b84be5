"""Rainbow memory (Bang et al. 2021): from certain to uncertain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.methods._base import Method

if TYPE_CHECKING:
    from buffers import Buffer
    from clcore import Probe


class Rainbow(Method):
    """`buffers.RainbowBuffer` with its defaults."""

    title = "Samples spread from the certain to the uncertain of each class (rainbow memory)."
    helps = "blurry streams, images with a sensible augmentation"
    checked = "a written-out vote and walk"
    streaming = False

    def build_buffer(self, memory_size: int, *, seed: int, probe: Probe | None = None) -> Buffer:
        """A `RainbowBuffer`."""
        from buffers import RainbowBuffer

        return RainbowBuffer(memory_size, seed=seed, probe=probe)
