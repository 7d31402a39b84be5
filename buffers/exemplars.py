"""A batch read from a memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Exemplars:
    """Some exemplars, as a buffer hands them out.

    Attributes:
        x: Samples `[n, ...]`, after the buffer's transform.
        y: Class labels `[n]` int64.
        task: Task labels `[n]` int64; 0 where the stream has none.
        index: Rows of the store that they came from, `[n]` int64; valid until the next update.
        weight: How much data each stands for, `[n]`; ones where the method defines none.
        columns: Further columns by name (logits, scores, …), `[n, ...]` each.
    """

    x: Tensor
    y: Tensor
    task: Tensor
    index: Tensor
    weight: Tensor
    columns: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.y)
