"""Timing two or more ways of the same work in turn, and what is printed of it."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

Work = Callable[[], object]


@dataclass(frozen=True)
class Comparison:
    """One line of a speed table.

    Attributes:
        name: What was done.
        seconds: Median processor seconds of one unit of work, by contestant; ours first.
        unit: What one unit of work is.
        goal: The figure that was set for ours, in seconds, or None.
        note: What has to be said beside it.
    """

    name: str
    seconds: Mapping[str, float]
    unit: str
    goal: float | None = None
    note: str = ""

    @property
    def ours(self) -> float:
        """Our own seconds."""
        return next(iter(self.seconds.values()))

    def ratios(self) -> dict[str, float]:
        """How many times our seconds each of the others took."""
        others = list(self.seconds.items())[1:]
        return {name: seconds / self.ours for name, seconds in others}

    def line(self) -> str:
        """The comparison in one line of text."""
        figures = ", ".join(f"{name} {human(value)}" for name, value in self.seconds.items())
        ratios = ", ".join(f"{name} / ours = {ratio:.2f}" for name, ratio in self.ratios().items())
        return f"{self.name}: {figures}" + (f"  ({ratios})" if ratios else "")

    def as_dict(self) -> dict[str, Any]:
        """All figures, for the JSON file."""
        return {
            "name": self.name,
            "unit": self.unit,
            "seconds": dict(self.seconds),
            "ratios": self.ratios(),
            "goal": self.goal,
            "note": self.note,
        }


def race(
    contestants: Mapping[str, Work], *, rounds: int = 7, calls: int = 1, warm: bool = True
) -> dict[str, float]:
    """Time several ways of one work in turn, A B C A B C.

    Processor time is what is compared: on a shared machine it stays the same while wall time
    doubles. The work must run on one thread for that to be fair (`single_thread`).

    Args:
        contestants: What to run, by name.
        rounds: How often each is timed.
        calls: Units of work per timing (for works far below a millisecond).
        warm: Run each once before, untimed.

    Returns:
        Median seconds of one unit of work, by name.
    """
    if warm:
        for work in contestants.values():
            work()
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, work in contestants.items():
            started = time.process_time()
            for _ in range(calls):
                work()
            taken[name].append((time.process_time() - started) / calls)
    return {name: statistics.median(values) for name, values in taken.items()}


def single_thread() -> None:
    """Run torch on one thread from here on."""
    torch.set_num_threads(1)


def human(seconds: float) -> str:
    """Seconds with a unit that suits their size."""
    for factor, unit in ((1.0, "s"), (1e3, "ms")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    import avalanche

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "avalanche": avalanche.__version__,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
    }


def markdown(results: list[Comparison]) -> str:
    """The table for the documentation."""
    lines = ["| what | ours | goal | others | ratio |", "|---|---|---|---|---|"]
    for result in results:
        others = "; ".join(f"{n} {human(s)}" for n, s in list(result.seconds.items())[1:])
        ratios = "; ".join(f"{n} {r:.2f}×" for n, r in result.ratios().items())
        goal = "" if result.goal is None else f"≤ {human(result.goal)}"
        name = result.name + (f" ({result.note})" if result.note else "")
        lines.append(f"| {name} | {human(result.ours)} | {goal} | {others} | {ratios} |")
    return "\n".join(lines)
