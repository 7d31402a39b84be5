"""The clock that costs are taken from: it stands still while step loops are compiled.

The first use of a compiled loop on a machine takes seconds, every later one none, as the result is
kept on the disk. That is no cost of the method, and would drown it in a table of costs.
"""

from __future__ import annotations

import time

_left_out = [0.0]


def leave_out(seconds: float) -> None:
    """Leave something out of all costs that are being taken now.

    Args:
        seconds: Wall-clock seconds.
    """
    _left_out[0] += seconds


def working_time() -> float:
    """Return a wall clock in seconds, of which only differences mean anything."""
    return time.perf_counter() - _left_out[0]
