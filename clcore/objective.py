"""The base class of set functions: the value of a set of picks, and what one more would add."""

from __future__ import annotations

import abc
import copy
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from clcore.pool import Pool


class Objective(abc.ABC):
    """A set function over the rows of a pool, with the set chosen so far as its state.

    A set function of your own is one small class: prepare the data in `__init__` and end it with
    `self.reset()`; then write `reset`, `gains`, `add` and `value`. Every maximiser works with it.

    `reset` must bind every part of the state anew (`self.best = torch.zeros(…)`, not
    `self.best.zero_()`); `add` may write into what `reset` bound. So `fresh` and `fork` can tell
    the state from the prepared data, which copies share.

    Args:
        pool: The candidates, which are also what is to be covered. Its weights say how much each
            row counts in the value.
        **options: What the class was made with; kept so that `part` can make it again.

    Attributes:
        name: The registered name: the file's, with hyphens.
        signals: The signals of the pool that it reads.
        submodular: Whether gains only fall while the set grows. Lazy maximisers need it.
        monotone: Whether no gain is ever negative.
        evaluations: Pairs of rows whose distance or inner product was computed so far.
        given: int64 `[g]`: the rows that `start` put into the set.

    Example:
        >>> class Sum(Objective):
        ...     def __init__(self, pool):
        ...         super().__init__(pool)
        ...         self.scores = pool.signal("scores")
        ...         self.reset()
        ...     def reset(self):
        ...         self.total = 0.0
        ...     def gains(self, rows):
        ...         return self.scores[rows]
        ...     def add(self, rows):
        ...         self.total += float(self.scores[rows].sum())
        ...     def value(self):
        ...         return self.total
        >>> Sum(Pool(scores=torch.tensor([1.0, 3.0]))).evaluate([0, 1])
        4.0
    """

    name: ClassVar[str] = ""
    signals: ClassVar[tuple[str, ...]] = ("features",)
    submodular: ClassVar[bool] = True
    monotone: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = cls.__module__.rpartition(".")[2].replace("_", "-")

    def __init__(self, pool: Pool, **options: Any) -> None:
        self.pool = pool
        self.options = options
        self.evaluations = 0
        self.given = torch.empty(0, dtype=torch.int64, device=pool.device)

    def __len__(self) -> int:
        return len(self.pool)

    @property
    def device(self) -> torch.device:
        """Where the pool lies."""
        return self.pool.device

    @property
    def step(self) -> int:
        """Multiplications that one gain takes, about.

        From it follow how many gains are asked for at once and on how many threads. Without a word
        of the function's own: similarities to all rows, of 64 features.
        """
        return 64 * len(self)

    @abc.abstractmethod
    def reset(self) -> None:
        """Go back to the empty set."""

    @abc.abstractmethod
    def gains(self, rows: Tensor) -> Tensor:
        """Say what each of some rows would add to the value if it alone were added now.

        Args:
            rows: int64 `[m]`.

        Returns:
            Floating-point `[m]`, on the pool's device. A row of the set gains nothing more.
        """

    @abc.abstractmethod
    def add(self, rows: Tensor) -> None:
        """Put rows into the set.

        Args:
            rows: int64 `[m]`, on the pool's device; one in a greedy loop, several for rows that
                were taken before. Reading its value on the host would cost a GPU a round trip.
        """

    @abc.abstractmethod
    def value(self) -> float:
        """Return the value of the set."""

    def ceiling(self) -> float | None:
        """Return the largest value that any set can have, or None where it isn't known."""
        return None

    def weights(self, picks: Tensor) -> Tensor | None:
        """Say how much of the pool each pick stands for.

        Args:
            picks: int64 `[k]`, in pick order; all are in the set.

        Returns:
            Floating-point `[k]` that sum to the weight of the pool, or None where the function
            defines none.
        """
        return None

    def fresh(self) -> Self:
        """Return the same function with the empty set; the prepared data are shared."""
        other = copy.copy(self)
        other.evaluations = 0
        other.given = self.given[:0]
        other.reset()
        return other

    def fork(self) -> Self:
        """Return the same function with a copy of the set; the two then go on independently.

        Returns:
            A copy whose state is its own and whose prepared data are shared; its evaluations
            count from 0.
        """
        other = self.fresh()
        other.given = self.given
        for name, value in vars(self).items():
            # What `reset` bound anew is state; what it left alone is prepared data.
            if name not in ("evaluations", "given") and vars(other).get(name) is not value:
                setattr(other, name, copy.deepcopy(value))
        return other

    def start(self, rows: Tensor) -> None:
        """Begin with rows that were taken before the first pick.

        Args:
            rows: int64 `[g]`, on the pool's device; may be empty.
        """
        self.reset()
        self.given = rows
        if len(rows):
            self.add(rows)

    def part(self, rows: Tensor) -> Self:
        """Make the same function for some of the rows alone.

        Args:
            rows: int64 `[m]`; row `j` of the new function is row `rows[j]` of this one, and the
                new function covers these rows alone.

        Returns:
            A new function, with the empty set.
        """
        return type(self)(self.pool.subset(rows), **self.options)

    def evaluate(self, rows: Any) -> float:
        """Return the value of a set; the state is left alone.

        Args:
            rows: Integers `[m]`.

        Returns:
            f(rows).
        """
        other = self.fresh()
        wanted = torch.as_tensor(rows, dtype=torch.int64, device=self.device)
        if len(wanted):
            other.add(wanted)
        return other.value()
