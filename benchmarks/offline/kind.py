"""Offline coreset training as a kind of suite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks.offline.plan import OfflineCell, cells_of, check
from benchmarks.offline.record import OfflineResults, OfflineRun
from benchmarks.offline.suite import OfflineSuite
from benchmarks.running.kind import Kind
from benchmarks.suites import FIXED

if TYPE_CHECKING:
    from rich.table import Table

    from benchmarks.reporting.events import Sink
    from benchmarks.reporting.gather import Source
    from benchmarks.running.task import CellTask


class Offline(Kind[OfflineSuite, OfflineCell, OfflineRun, OfflineResults]):
    """Suites that train on a chosen part of one data set; a cell has a fraction."""

    name = "offline"
    suite = OfflineSuite
    run = OfflineRun
    results = OfflineResults
    choice: ClassVar[dict[str, str]] = {
        "methods": "--methods",
        "fractions": "--fractions",
        "optimizers": "--optimizers",
        "seeds": "--seeds",
    }
    fixed = (*FIXED, "learner")

    def cells_of(self, suite: OfflineSuite) -> list[OfflineCell]:
        """See `plan.cells_of`."""
        return cells_of(suite)

    def cell(self, record: Sequence[Any]) -> OfflineCell:
        """Method, fraction, optimiser, seed."""
        method, fraction, optimizer, seed = record
        return OfflineCell(str(method), float(fraction), str(optimizer), int(seed))

    def check(self, suite: OfflineSuite) -> None:
        """See `plan.check`."""
        check(suite)

    def run_cell(
        self,
        task: CellTask,
        on_progress: Callable[[float], None],
        follow: Callable[[], Sink] | None,
    ) -> OfflineRun:
        """See `offline.cell.run_cell`."""
        from benchmarks.offline.cell import run_cell

        return run_cell(task, on_progress, follow)

    def complete(self, runs: Sequence[OfflineRun]) -> list[OfflineRun]:
        """Measure speed-ups against full training."""
        from benchmarks.offline.speedup import with_speedups

        return with_speedups(runs)

    def markdown_table(self, results: OfflineResults) -> str:
        """See `offline.table`."""
        from benchmarks.offline.table import markdown_table

        return markdown_table(results)

    def console_table(self, results: OfflineResults, width: int | None = None) -> Table:
        """See `offline.table`."""
        from benchmarks.offline.table import console_table

        return console_table(results, width=width)

    def page(self, sources: Sequence[Source[OfflineResults]]) -> str:
        """See `offline.page`."""
        from benchmarks.offline.page import render

        return render(sources)

    def methods_table(
        self, sources: Sequence[Source[OfflineResults]]
    ) -> tuple[list[str], list[list[Any]]]:
        """See `offline.table`."""
        from benchmarks.offline.table import methods_table

        return methods_table(sources)
