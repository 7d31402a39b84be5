"""Retrieval rules: which exemplars a training step reads. One rule a file, named after it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from torch import Tensor

from clcore.errors import ArgumentError
from clcore.registry import Registry

if TYPE_CHECKING:
    from buffers.memory import Memory


class Retrieval(ABC):
    """Chooses rows of a memory to read."""

    @abstractmethod
    def draw(self, memory: Memory, n: int, **context: Any) -> Tensor:
        """Choose rows.

        Args:
            memory: A memory that is not empty; draw random numbers from `memory.generator`.
            n: How many rows are wanted, at least 1.
            **context: What the caller gave to `sample`.

        Returns:
            `[min(n, len(memory))]` int64 rows, none twice.
        """


RETRIEVALS: Registry[Retrieval] = Registry("retrieval rule", "buffers.retrieval", Retrieval)
_made: dict[str, Retrieval] = {}


def retrieval_rule(rule: str | Retrieval) -> Retrieval:
    """The rule itself, from its name.

    Raises:
        ArgumentError: Not a name and not a rule; unknown names suggest the nearest.
    """
    if isinstance(rule, str):
        made = _made.get(rule)
        if made is None:
            made = _made[rule] = RETRIEVALS.create(rule)
        return made
    if isinstance(rule, Retrieval):
        return rule
    raise ArgumentError(f"retrieval: got {rule!r}; the name of a rule or a Retrieval is needed")
