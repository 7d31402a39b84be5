"""What a kind of suite has to bring: its cells, how one is run, and how results are shown.

Folders, locks, workers, event logs, resuming and the command line are the same for all kinds and
ask a `Kind` for the rest. `continual` is in `benchmarks.running.continual`, `offline` in
`benchmarks.offline.kind`, `generative` in `benchmarks.generative.kind`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from benchmarks.reporting.results import BaseResults, Record
from benchmarks.running.plan import AnyCell
from benchmarks.suites import AnySuite
from clcore.errors import UnknownNameError

if TYPE_CHECKING:
    from rich.table import Table

    from benchmarks.reporting.events import Sink
    from benchmarks.reporting.gather import Source
    from benchmarks.running.task import CellTask

S = TypeVar("S", bound=AnySuite)
C = TypeVar("C", bound=AnyCell)
R = TypeVar("R", bound=Record)
T = TypeVar("T", bound=BaseResults)


class Kind(ABC, Generic[S, C, R, T]):
    """One family of suites.

    Attributes:
        name: As in a suite's `kind` and in `results.json`.
        suite: Class of its suites.
        run: Class of an entry of its results.
        results: Class of its results.
        choice: Fields of a suite that say which cells are run, with the option of `clcore run`
            for each.
        fixed: Fields of a suite that `--set` can't change.
    """

    name: ClassVar[str]
    suite: type[S]
    run: type[R]
    results: type[T]
    choice: ClassVar[Mapping[str, str]]
    fixed: ClassVar[tuple[str, ...]]

    @abstractmethod
    def cells_of(self, suite: S) -> Sequence[C]:
        """List the cells of a suite, in the order in which they are run.

        Raises:
            ClcoreError: A cell can't be run; says why.
        """

    @abstractmethod
    def cell(self, record: Sequence[Any]) -> C:
        """Make a cell from what `AnyCell.record` returned.

        Raises:
            ValueError: It is no such record.
        """

    @abstractmethod
    def check(self, suite: S) -> None:
        """Refuse a suite that can't be run, before anything is loaded.

        Raises:
            ClcoreError: Says why.
        """

    def require(self, suite: S) -> None:
        """Load the data of a suite, so that what is missing is said before anything runs.

        Raises:
            ClcoreError: There is no such data set, or it is not in the cache.
        """
        from benchmarks.running.data import require_data

        require_data(suite.dataset)

    def check_cells(self, suite: S, cells: Sequence[C]) -> None:
        """Refuse cells that can't be run with the data that there are; by default none.

        Called after `require`, and before the first cell is run.

        Args:
            suite: The suite; where a run was extended, with more methods and sizes than the cells.
            cells: The cells that are planned.

        Raises:
            ClcoreError: Says why.
        """

    @abstractmethod
    def run_cell(
        self,
        task: CellTask,
        on_progress: Callable[[float], None],
        follow: Callable[[], Sink] | None,
    ) -> R:
        """Run a cell, or what is left of it.

        Args:
            task: The cell.
            on_progress: Called now and then with the share that is done.
            follow: Makes something that is given the events while the cell runs; called when the
                log holds the first of them.

        Returns:
            The result, which is also in `result.json` in the cell's folder.

        Raises:
            ClcoreError: The cell can't be run, or what an earlier run left is damaged.
            DiskError: Something could not be written; what was finished before is kept.
        """

    def complete(self, runs: Sequence[R]) -> list[R]:
        """Fill in what a cell's result can only have beside others; nothing by default."""
        return list(runs)

    @abstractmethod
    def markdown_table(self, results: T) -> str:
        """The table as Markdown, with its note."""

    @abstractmethod
    def console_table(self, results: T, width: int | None = None) -> Table:
        """The table for `rich.print`, with as many columns as fit into a width."""

    @abstractmethod
    def page(self, sources: Sequence[Source[T]]) -> str:
        """The HTML page of one or several run folders."""

    @abstractmethod
    def methods_table(self, sources: Sequence[Source[T]]) -> tuple[list[str], list[list[Any]]]:
        """Columns and rows of the table across all methods on wandb."""


NAMES = ("continual", "offline", "generative")
"""The kinds that there are."""


def kind_of(name: str) -> Kind[Any, Any, Any, Any]:
    """Return a kind, imported when it is first asked for.

    Args:
        name: As in a suite's `kind`.

    Raises:
        UnknownNameError: There is no such kind.
    """
    if name == "continual":
        from benchmarks.running.continual import Continual

        return Continual()
    if name == "offline":
        from benchmarks.offline.kind import Offline

        return Offline()
    if name == "generative":
        from benchmarks.generative.kind import Generative

        return Generative()
    raise UnknownNameError("kind of suite", name, NAMES)
