"""Rows on their way into a memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

Transform = Callable[[Tensor], Tensor]


class Incoming:
    """Rows offered to a memory; x is read only where it is asked for.

    Attributes:
        y: Class labels `[n]` int64, on the CPU.
        task: Task labels `[n]` int64, on the CPU.
        columns: Further columns `[n, ...]`; a rule may add those that it owns.
        weight: Weights `[n]`, or None for ones.
        agent: The Avalanche strategy that is learning, where there is one.
        experience: Number of the experience that they come from, where that is known.
    """

    __slots__ = ("_read", "agent", "columns", "evaluate", "experience", "task", "weight", "y")

    def __init__(
        self,
        read: Tensor | Callable[[Tensor | None], Tensor],
        y: Tensor,
        task: Tensor,
        columns: dict[str, Tensor],
        weight: Tensor | None = None,
        agent: Any = None,
        evaluate: Transform | None = None,
        experience: int | None = None,
    ) -> None:
        self._read = read
        self.y = y
        self.task = task
        self.columns = columns
        self.weight = weight
        self.agent = agent
        self.evaluate = evaluate
        self.experience = experience

    def __len__(self) -> int:
        return len(self.y)

    def x(self, rows: Tensor | None = None) -> Tensor:
        """Samples as they will be stored, `[m, ...]`; all of them if `rows` is None."""
        if isinstance(self._read, Tensor):
            return (
                self._read
                if rows is None
                else self._read.index_select(0, rows.to(self._read.device))
            )
        return self._read(rows)

    def inputs(self, rows: Tensor | None = None) -> Tensor:
        """Samples as the model wants them in evaluation, `[m, ...]`."""
        x = self.x(rows)
        return x if self.evaluate is None else self.evaluate(x)
