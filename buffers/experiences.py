"""In which experience an exemplar came, where the stream has no task labels to say so.

Rows are numbered as they are offered and experiences follow one another, so where each experience
began is enough; no exemplar needs a column for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class Experiences:
    """Numbers of the rows with which experiences began.

    Args:
        starts: Pairs of first row and number of the experience, in order.
        label: Task label of the rows so far; None before the first.

    Attributes:
        labelled: Whether rows with different task labels have come, so that these say more than the
            experiences do.
    """

    def __init__(
        self,
        starts: Iterable[Iterable[int]] = (),
        label: int | None = None,
        labelled: bool = False,
    ) -> None:
        self.label, self.labelled = label, labelled
        pairs = [tuple(pair) for pair in starts]
        self._first = [first for first, _ in pairs]
        self._number = [number for _, number in pairs]

    def __bool__(self) -> bool:
        return bool(self._first)

    def note(self, task: Tensor) -> None:
        """Take note of the task labels of the next rows, `[n]` int64, at least one."""
        if not self.labelled:
            if self.label is None:
                self.label = int(task[0])
            self.labelled = bool((task != self.label).any())

    def begin(self, number: int, seen: int) -> None:
        """The next rows are of this experience.

        Args:
            number: Of the experience.
            seen: Rows offered before.
        """
        if self._number and self._number[-1] == number:
            return
        if self._first and self._first[-1] == seen:  # nothing came of the one before
            self._number[-1] = number
            return
        self._first.append(seen)
        self._number.append(number)

    def of(self, born: Tensor) -> Tensor:
        """The experience of exemplars.

        Args:
            born: Their row numbers, `[m]` int64, none from before the first experience.

        Returns:
            `[m]` int64.
        """
        place = torch.searchsorted(torch.tensor(self._first), born.contiguous(), right=True) - 1
        return torch.tensor(self._number)[place.clamp_min(0)]

    def state(self) -> dict[str, Any]:
        """What the constructor takes back, as JSON can hold it."""
        starts = [list(pair) for pair in zip(self._first, self._number, strict=True)]
        return {"starts": starts, "label": self.label, "labelled": self.labelled}


def experience_number(experience: Any) -> int | None:
    """The number of an Avalanche experience in its stream; None if it has none.

    A mini-experience of an online stream has the number of the experience that it was cut from.
    """
    origin = getattr(experience, "origin_experience", experience)
    number = getattr(origin, "current_experience", None)
    return number if isinstance(number, int) else None
