"""The most memory that a piece of work takes, beyond what the process held before it."""

from __future__ import annotations

import gc
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_BETWEEN = 0.005


class PeakMemory:
    """Measures while it is entered.

    `getrusage` is of no use here: on Linux a new process inherits the maximum of the one that
    started it. The kernel's own high-water mark is set back instead, which costs the work nothing;
    where that is not permitted, a thread looks every 5 ms.

    Attributes:
        bytes: Highest resident size inside, less the size at entry.
    """

    def __init__(self) -> None:
        self.bytes = 0

    def __enter__(self) -> Self:
        gc.collect()
        self._process = psutil.Process()
        self._before = self._highest = self._process.memory_info().rss
        self._over = threading.Event()
        self._watcher: threading.Thread | None = None
        if not _reset_mark():
            self._watcher = threading.Thread(target=self._watch, daemon=True)
            self._watcher.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._watcher is None:
            self._highest = _mark()
        else:
            self._over.set()
            self._watcher.join()
        self.bytes = max(0, self._highest - self._before)

    def _watch(self) -> None:
        while True:
            self._highest = max(self._highest, self._process.memory_info().rss)
            if self._over.wait(_BETWEEN):
                return


def _reset_mark() -> bool:
    """Set the kernel's high-water mark to the present size; say whether that was permitted."""
    try:
        _RESET.write_text("5")
    except OSError:
        return False
    return True


def _mark() -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])
