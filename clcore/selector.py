"""The base class of every selection method: what is checked and what is promised."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from clcore.checks import whole_number
from clcore.clock import working_time
from clcore.coreset import Coreset, Cost
from clcore.errors import ArgumentError, SignalError
from clcore.guard import guard
from clcore.pool import Pool, row_indices
from clcore.quotas import Allowance, check_quotas

QuotaBy = Literal["labels", "groups"]


@dataclass(frozen=True)
class Selector(abc.ABC):
    """A selection method with its hyper-parameters.

    A method is a frozen dataclass whose fields are its options, in a file of its own whose name is
    the method's name, with one method to write: `_select`. See docs/adding-a-selector.md.

    Attributes:
        name: The registered name: the file's, with hyphens.
        signals: The signals of the pool that the method reads.
        greedy: Whether the first `j` of `k` picks are the answer for `j` (same seed).
        weighted: Whether the method defines weights; else they are ones.
        randomised: Whether the answer depends on the generator.
        quadratic_memory: Whether memory grows with the square of the pool.
        stops_early: Whether it may return fewer picks than asked for (a budget, a coverage).
    """

    name: ClassVar[str] = ""
    signals: ClassVar[tuple[str, ...]] = ("features",)
    greedy: ClassVar[bool] = False
    weighted: ClassVar[bool] = False
    randomised: ClassVar[bool] = False
    quadratic_memory: ClassVar[bool] = False
    stops_early: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = cls.__module__.rpartition(".")[2].replace("_", "-")

    def select(
        self,
        pool: Pool,
        k: int,
        *,
        given: Any = None,
        quotas: Mapping[int, int] | None = None,
        quota_by: QuotaBy = "labels",
        generator: torch.Generator | None = None,
    ) -> Coreset:
        """Pick `k` rows of the pool.

        The selection leaves no trace: models, gradients and the global random state are as before,
        and nothing but `generator` is drawn from.

        Args:
            pool: The candidates; must have the method's `signals`.
            k: How many to pick. Where fewer are available, all that are.
            given: Integers `[g]`: rows taken already. They are not picked again, do not count
                towards `k` or the quotas, and the method builds on them where it can.
            quotas: From label to the most picks of that label; labels not named are not bounded.
            quota_by: Whether the quotas are per label or per group.
            generator: Randomness; a fresh one with seed 0 if left out.

        Returns:
            `min(k, available)` picks, in pick order, on the pool's device; fewer only where the
            method was told to stop early.

        Raises:
            ArgumentError: If an argument is wrong; the message names it.
            SignalError: If a signal is missing or holds NaN or infinity.
        """
        if not isinstance(pool, Pool):
            raise ArgumentError(f"pool must be a clcore.Pool, not {type(pool).__name__}")
        k = whole_number("k", k)
        taken = _check_given(given, pool)
        bounds, keys = _check_rules(quotas, quota_by, pool)
        generator = _check_generator(generator)
        absent = [name for name in self.signals if not pool.has(name)]
        if absent:
            raise SignalError(
                f"{self.name} needs the signal {absent[0]!r}; "
                f"this pool has {', '.join(pool.names) or 'none'}"
            )

        def allowance() -> Allowance:
            return Allowance(len(pool), pool.device, given=taken, keys=keys, quotas=bounds)

        started, before = working_time(), pool.cost
        wanted = min(k, allowance().capacity())
        if wanted == 0:
            return Coreset.of([], device=pool.device)
        with guard():
            pool.compute(*self.signals)
            coreset = self._select(
                pool, wanted, given=taken, allowance=allowance(), generator=generator
            )
        _check_promise(self, coreset, wanted, allowance())
        spent = pool.cost - before
        seconds = working_time() - started
        passes = Cost(seconds, spent.forward_passes, spent.backward_passes)
        return replace(coreset, cost=replace(coreset.cost, seconds=0.0) + passes)

    @abc.abstractmethod
    def _select(
        self,
        pool: Pool,
        k: int,
        *,
        given: Tensor,
        allowance: Allowance,
        generator: torch.Generator,
    ) -> Coreset:
        """Pick exactly `k` rows; everything was checked.

        Args:
            pool: Not empty; the method's signals are computed.
            k: At least 1 and no more than the allowance permits.
            given: int64 `[g]`: rows taken already; may be empty.
            allowance: Which rows may be picked; keeps the quotas.
            generator: The only source of randomness allowed.

        Returns:
            The picks; `Coreset.of(...)` fills in what the method doesn't define.
        """


def _check_given(given: Any, pool: Pool) -> Tensor:
    if given is None:
        return torch.empty(0, dtype=torch.int64, device=pool.device)
    rows = row_indices("given", given, len(pool), pool.device)
    if len(torch.unique(rows)) != len(rows):
        raise ArgumentError("given names a row twice")
    return rows


def _check_rules(
    quotas: Any, quota_by: str, pool: Pool
) -> tuple[dict[int, int] | None, Tensor | None]:
    if quota_by not in ("labels", "groups"):
        raise ArgumentError(f"quota_by must be 'labels' or 'groups', not {quota_by!r}")
    if quotas is None:
        return None, None
    keys = pool.labels if quota_by == "labels" else pool.groups
    if keys is None:
        raise ArgumentError(f"quotas by {quota_by} need a pool with {quota_by}; this one has none")
    return check_quotas(quotas), keys


def _check_generator(generator: Any) -> torch.Generator:
    if generator is None:
        return torch.Generator().manual_seed(0)
    if not isinstance(generator, torch.Generator):
        raise ArgumentError(f"generator must be a torch.Generator, not {generator!r}")
    return generator


def _check_promise(method: Selector, coreset: Coreset, k: int, allowance: Allowance) -> None:
    """Catch a method that breaks what `select` promises, before anyone builds on it."""
    picks, name = coreset.indices, method.name
    rows, count = len(allowance.penalty), len(coreset.indices)
    if count > k or (count < k and not method.stops_early):
        raise AssertionError(f"{name} returned {count} picks where {k} were due")
    if count == 0:
        return
    if len(torch.unique(picks)) != count or not 0 <= int(picks.min()) <= int(picks.max()) < rows:
        raise AssertionError(f"{name} returned picks that are repeated or out of range")
    if len(allowance.first(picks, count)) != count:
        raise AssertionError(f"{name} picked rows that were given, or beyond a quota")
