"""Generative models as a kind of suite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks.generative.plan import GenerativeCell, cells_of, check, require
from benchmarks.generative.record import GenerativeResults, GenerativeRun
from benchmarks.generative.suite import GenerativeSuite
from benchmarks.running.kind import Kind
from benchmarks.suites import FIXED

if TYPE_CHECKING:
    from rich.table import Table

    from benchmarks.reporting.events import Sink
    from benchmarks.reporting.gather import Source
    from benchmarks.running.task import CellTask


class Generative(Kind[GenerativeSuite, GenerativeCell, GenerativeRun, GenerativeResults]):
    """Suites that train generative models on chosen batches; a cell has a batch size."""

    name = "generative"
    suite = GenerativeSuite
    run = GenerativeRun
    results = GenerativeResults
    choice: ClassVar[dict[str, str]] = {
        "methods": "--methods",
        "batch_sizes": "--batch-sizes",
        "seeds": "--seeds",
    }
    fixed = (*FIXED, "learner")

    def cells_of(self, suite: GenerativeSuite) -> list[GenerativeCell]:
        """See `plan.cells_of`."""
        return cells_of(suite)

    def cell(self, record: Sequence[Any]) -> GenerativeCell:
        """Method, batch size, seed."""
        method, batch_size, seed = record
        return GenerativeCell(str(method), int(batch_size), int(seed))

    def check(self, suite: GenerativeSuite) -> None:
        """See `plan.check`."""
        check(suite)

    def require(self, suite: GenerativeSuite) -> None:
        """See `plan.require`."""
        require(suite)

    def check_cells(self, suite: GenerativeSuite, cells: Sequence[GenerativeCell]) -> None:
        """See `sizes.check_cells`."""
        from benchmarks.generative.sizes import check_cells

        check_cells(suite, cells)

    def run_cell(
        self,
        task: CellTask,
        on_progress: Callable[[float], None],
        follow: Callable[[], Sink] | None,
    ) -> GenerativeRun:
        """See `generative.cell.run_cell`."""
        from benchmarks.generative.cell import run_cell

        return run_cell(task, on_progress, follow)

    def markdown_table(self, results: GenerativeResults) -> str:
        """See `generative.table`."""
        from benchmarks.generative.table import markdown_table

        return markdown_table(results)

    def console_table(self, results: GenerativeResults, width: int | None = None) -> Table:
        """See `generative.table`."""
        from benchmarks.generative.table import console_table

        return console_table(results, width=width)

    def page(self, sources: Sequence[Source[GenerativeResults]]) -> str:
        """See `generative.page`."""
        from benchmarks.generative.page import render

        return render(sources)

    def methods_table(
        self, sources: Sequence[Source[GenerativeResults]]
    ) -> tuple[list[str], list[list[Any]]]:
        """See `generative.table`."""
        from benchmarks.generative.table import methods_table

        return methods_table(sources)
