"""Time of training and, apart, of choosing what to train on: on the wall and of the processor.

Processor time is that of this process with all its threads; of processes that share a machine it
can be compared where wall time can't. The first compilation of a step loop counts in neither (see
`clcore.clock`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from clcore.clock import working_time


class Stopwatch:
    """Adds up seconds.

    Args:
        device: Where networks run: on a GPU the clock is read once its queue is empty.

    Attributes:
        seconds: Wall-clock seconds of training, selection included.
        cpu_seconds: The same in processor time.
        selection_seconds: Wall-clock seconds of selection.
        selection_cpu_seconds: The same in processor time.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.seconds = self.cpu_seconds = 0.0
        self.selection_seconds = self.selection_cpu_seconds = 0.0

    @contextmanager
    def training(self) -> Iterator[None]:
        """Count what happens inside as training, whatever ends it."""
        start = self._now(wait=True)
        try:
            yield
        finally:
            wall, cpu = self._since(start, wait=True)
            self.seconds += wall
            self.cpu_seconds += cpu

    @contextmanager
    def selecting(self, *, on_device: bool = False) -> Iterator[None]:
        """Count what happens inside as selection.

        Args:
            on_device: Whether networks run in it, so that a GPU must be waited for.
        """
        start = self._now(wait=on_device)
        try:
            yield
        finally:
            wall, cpu = self._since(start, wait=on_device)
            self.selection_seconds += wall
            self.selection_cpu_seconds += cpu

    def state_dict(self) -> dict[str, float]:
        """Return the seconds so far."""
        return {
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "selection_seconds": self.selection_seconds,
            "selection_cpu_seconds": self.selection_cpu_seconds,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.seconds, self.cpu_seconds = float(state["seconds"]), float(state["cpu_seconds"])
        self.selection_seconds = float(state["selection_seconds"])
        self.selection_cpu_seconds = float(state["selection_cpu_seconds"])

    def _now(self, *, wait: bool) -> tuple[float, float, float]:
        if wait and self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter(), working_time(), time.process_time()

    def _since(self, start: tuple[float, float, float], *, wait: bool) -> tuple[float, float]:
        real, working, cpu = (a - b for a, b in zip(self._now(wait=wait), start, strict=True))
        # What the clock leaves out is a compilation in one thread. How much of a core that had is
        # not known; on a busy machine as much as all else, on an idle one a whole one.
        core = min(1.0, cpu / real) if real > 0 else 1.0
        return working, max(0.0, cpu - core * max(0.0, real - working))
