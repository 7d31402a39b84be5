"""A row of the table: one selection, who makes it, and the figures that were set as goals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.speed.side_by_side.outcome import Outcome
from benchmarks.speed.side_by_side.tasks import TASKS, Task

Outcomes = Mapping[str, Outcome]


@dataclass(frozen=True)
class Contestant:
    """One way to make a selection.

    Attributes:
        name: As in the table.
        code: `"module:function"`.
        needs: Packages that must be there, by the name that one imports.
        matrices: Dense n × n matrices in double precision that it holds at once; it is not started
            where they would not fit.
        options: Its own settings, beside the row's.
    """

    name: str
    code: str
    needs: tuple[str, ...] = ()
    matrices: float = 0.0
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Goal:
    """A figure that was set for ours.

    Attributes:
        words: As in the table, such as `"≤ 0.5 CPU s"`.
        met: Says of the outcomes, ours first, whether it is met; None if it can't be said.
    """

    words: str
    met: Callable[[Outcomes], bool | None]


@dataclass(frozen=True)
class Row:
    """One selection.

    Attributes:
        name: The name by which `--rows` finds it.
        task: What is asked.
        data: Kind of the arrays.
        n: Rows of the data.
        d: Dimensions.
        k: Picks.
        contestants: Ours first.
        options: What the objective needs; every contestant gets them.
        goals: Figures that were set for ours.
        threads: For each contestant.
        limit: Wall seconds after which a contestant is stopped; None for the command's.
    """

    name: str
    task: str
    data: str
    n: int
    d: int
    k: int
    contestants: tuple[Contestant, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    goals: tuple[Goal, ...] = ()
    threads: int = 1
    limit: float | None = None

    @property
    def title(self) -> str:
        """The row in words."""
        words = f"{self.task.replace('-', ' ')}, {self.n:,} × {self.d}"
        words += f", k = {self.k:,}" if self.k else ""
        return f"{words}, {self.data}"

    @property
    def about(self) -> Task:
        """What is asked."""
        return TASKS[self.task]
