"""Continual learning as a kind of suite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks.reporting.results import Results, Run
from benchmarks.running.kind import Kind
from benchmarks.running.plan import Cell, cells_of
from benchmarks.suites import FIXED, Suite

if TYPE_CHECKING:
    from rich.table import Table

    from benchmarks.reporting.events import Sink
    from benchmarks.reporting.gather import Source
    from benchmarks.running.task import CellTask


class Continual(Kind[Suite, Cell, Run, Results]):
    """Suites of experiences that come one after the other; a cell has a memory size."""

    name = "continual"
    suite = Suite
    run = Run
    results = Results
    choice: ClassVar[dict[str, str]] = {
        "methods": "--methods",
        "memory_sizes": "--memory",
        "seeds": "--seeds",
    }
    fixed = FIXED

    def cells_of(self, suite: Suite) -> list[Cell]:
        """See `plan.cells_of`."""
        return cells_of(suite)

    def cell(self, record: Sequence[Any]) -> Cell:
        """Method, memory size, seed."""
        method, size, seed = record
        return Cell(str(method), int(size), int(seed))

    def check(self, suite: Suite) -> None:
        """Refuse a scenario that can't be built."""
        from benchmarks.running.data import check_scenario

        check_scenario(suite)

    def run_cell(
        self,
        task: CellTask,
        on_progress: Callable[[float], None],
        follow: Callable[[], Sink] | None,
    ) -> Run:
        """See `cell.run_cell`."""
        # Avalanche takes seconds to import; who only hands out cells does without.
        from benchmarks.running.cell import run_cell

        return run_cell(task, on_progress, follow)

    def markdown_table(self, results: Results) -> str:
        """See `reporting.table`."""
        from benchmarks.reporting.table import markdown_table

        return markdown_table(results)

    def console_table(self, results: Results, width: int | None = None) -> Table:
        """See `reporting.table`."""
        from benchmarks.reporting.table import console_table

        return console_table(results, width=width)

    def page(self, sources: Sequence[Source[Results]]) -> str:
        """See `reporting.html`."""
        from benchmarks.reporting.html import render

        return render(sources)

    def methods_table(
        self, sources: Sequence[Source[Results]]
    ) -> tuple[list[str], list[list[Any]]]:
        """See `reporting.wandb_summary`."""
        from benchmarks.reporting.wandb_summary import continual_methods

        return continual_methods(sources)
