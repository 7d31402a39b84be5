"""Shows how a run goes: a bar with an estimate on a terminal, a line a cell elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bars

if TYPE_CHECKING:
    from benchmarks.running.plan import AnyCell


def console() -> Console:
    """The console for results; wide enough for the table where output is not a terminal."""
    found = Console()
    return found if found.is_terminal else Console(width=160)


class Progress:
    """Listens to a run and shows it on stderr.

    Args:
        workers: Cells that run at once.
        quiet: Show failures only.
    """

    def __init__(self, workers: int, *, quiet: bool) -> None:
        self.workers, self.quiet = workers, quiet
        self.console = Console(stderr=True)
        self.bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            TextColumn("{task.fields[left]}"),
            console=self.console,
            disable=quiet or not self.console.is_terminal,
            transient=True,
        )
        self._total: TaskID | None = None
        self._shares: dict[AnyCell, float] = {}
        self._cells = self._before = self._finished = 0
        # Set when work is first heard of: starting the workers says nothing about the rest.
        self._started: float | None = None
        self._at_start = 0.0

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.bars.stop()

    def begin(self, cells: list[AnyCell], finished: list[AnyCell]) -> None:
        """Show how many cells there are."""
        self._cells, self._before = len(cells), len(finished)
        if finished:
            self._say(f"{len(finished)} of {len(cells)} cells are finished already")
        self._total = self.bars.add_task(
            "cells",
            total=len(cells),
            completed=len(finished),
            count=f"{len(finished)}/{len(cells)}",
            left="estimating",
        )

    def started(self, cell: AnyCell) -> None:
        """Show a cell that begins."""
        self._shares[cell] = 0.0
        self._show()

    def progress(self, cell: AnyCell, share: float) -> None:
        """Move the estimate."""
        self._shares[cell] = share
        if self._started is None:
            self._started, self._at_start = time.perf_counter(), self._worked()
        self._show()

    def done(self, cell: AnyCell, run: Any) -> None:
        """Show a finished cell."""
        self._shares.pop(cell, None)
        self._finished += 1
        seconds = run.seconds.train + run.seconds.select + run.seconds.evaluate
        left = self.left()
        estimate = "" if left is None or self.console.is_terminal else f", {left}"
        self._say(
            f"{self._before + self._finished}/{self._cells} {cell.name}: "
            f"{_outcome(run)} in {seconds:.1f} s{estimate}"
        )
        self._show()

    def failed(self, cell: AnyCell, reason: str) -> None:
        """Show a cell that failed."""
        self._shares.pop(cell, None)
        self._finished += 1
        self.console.print(f"{cell.name} failed: {reason}", markup=False, soft_wrap=True)
        self._show()

    def left(self) -> str | None:
        """Estimate of the time that is left, in words; None while nothing is known."""
        if self._started is None:
            return None
        worked = self._worked()
        elapsed = time.perf_counter() - self._started
        if worked - self._at_start < 0.5 or elapsed < 1:
            return None
        rate = (worked - self._at_start) / elapsed
        seconds = (self._cells - self._before - worked) / rate
        minutes, seconds = divmod(round(max(seconds, 0)), 60)
        hours, minutes = divmod(minutes, 60)
        if hours:
            return f"about {hours} h {minutes} min left"
        return f"about {minutes} min {seconds} s left" if minutes else f"about {seconds} s left"

    def _worked(self) -> float:
        """Cells done by this run, parts included."""
        return self._finished + sum(self._shares.values())

    def _say(self, text: str) -> None:
        if not self.quiet:
            self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _show(self) -> None:
        if self._total is None:
            return
        running = ", ".join(cell.name for cell in list(self._shares)[: self.workers])
        self.bars.update(
            self._total,
            completed=self._before + self._worked(),
            count=f"{self._before + self._finished}/{self._cells}",
            description=running or "cells",
            left=self.left() or "estimating",
        )


def _outcome(run: Any) -> str:
    """What came out of a cell, in a few words."""
    measure = getattr(run, "headline", None)
    if measure is None:
        return f"{run.final_accuracy:.1%}"
    value = f"{run.final:.1%}" if measure.percent else f"{run.final:.4g}"
    return f"{measure.title} {value}"
