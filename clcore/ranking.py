"""Selectors that rank all rows by one number: best first, and fairly between labels if asked."""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from clcore.coreset import Coreset
from clcore.errors import ArgumentError, SignalError
from clcore.geometry import as_matrix
from clcore.pool import Pool
from clcore.quotas import Allowance
from clcore.randomness import permutation
from clcore.selector import Selector

Shares = Literal["proportional", "even"]
Ties = Literal["first", "random"]

BLOCK_NUMBERS = 2**21
"""How many numbers of a signal are turned into double precision at a time."""


@dataclass(frozen=True)
class ScoreSelector(Selector):
    """Base of the selectors that take the rows of highest score; write `scores`.

    Args:
        per_label: Take from each label its proportional share (by Webster's method, so that every
            prefix is as proportional as whole numbers allow); else labels play no part.
        ties: Which of equal rows goes first: the `"first"`, which is the lowest, or a `"random"`
            one.
    """

    per_label: bool = False
    ties: Ties = "first"

    greedy: ClassVar[bool] = True

    def __post_init__(self) -> None:
        one_of("ties", self.ties, ("first", "random"))
        # What the base class promises depends on the option: say so on the instance.
        object.__setattr__(self, "randomised", self.ties == "random")

    @abc.abstractmethod
    def scores(self, pool: Pool) -> Tensor:
        """Return one number a row, floating-point `[n]`: the highest are picked first."""

    def _select(
        self,
        pool: Pool,
        k: int,
        *,
        given: Tensor,
        allowance: Allowance,
        generator: torch.Generator,
    ) -> Coreset:
        scores = self.scores(pool)
        order = best_first(scores, generator if self.ties == "random" else None)
        if self.per_label:
            order = in_turn(order, column_of(pool, "labels", "per_label"), given)
        picks = allowance.first(order, k)
        return Coreset.of(picks, gains=scores[picks])


def best_first(scores: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Rank rows by score.

    Args:
        scores: `[n]`.
        generator: Breaks ties at random; None puts the lowest row first.

    Returns:
        int64 `[n]`: all rows, highest score first.
    """
    if generator is None:
        return torch.argsort(scores, descending=True, stable=True)
    shuffled = permutation(len(scores), generator, scores.device)
    return shuffled[torch.argsort(scores[shuffled], descending=True, stable=True)]


def in_turn(
    order: Tensor, keys: Tensor, given: Tensor, *, shares: Shares = "proportional"
) -> Tensor:
    """Rearrange a ranking so that every prefix of it shares out fairly among labels.

    Within a label the order stays. The `r`-th row (from 0) of a label with `m` rows gets its turn
    at `(r + ½) / m` for proportional shares, which is Webster's (Sainte-Laguë's) apportionment,
    and at `r` for even ones, which is round robin; of equal turns the one earlier in the ranking
    goes first. Rows that are given count as the first of their label.

    Args:
        order: int64 `[m]`: rows to be ranked, each once, the best first.
        keys: int64 `[n]`: the label of each row of the pool.
        given: int64 `[g]`: rows taken already; they come first whether or not they are in `order`.
        shares: `"proportional"` to the size of the label, or `"even"`.

    Returns:
        int64: the rows of `order` and `given`.
    """
    if len(given):
        late = torch.ones(len(keys), dtype=torch.bool, device=order.device)
        late[given] = False
        order = torch.cat([given, order[late[order]]])
    ordered = keys[order]
    turns = rank_within(ordered).to(torch.float64)
    if shares == "proportional":
        _, place, sizes = torch.unique(ordered, return_inverse=True, return_counts=True)
        turns = (turns + 0.5) / sizes[place]
    return order[torch.argsort(turns, stable=True)]


def rank_within(keys: Tensor) -> Tensor:
    """Count for each entry how many earlier ones have the same key.

    Args:
        keys: int64 `[n]`.

    Returns:
        int64 `[n]`.
    """
    together = torch.argsort(keys, stable=True)
    _, sizes = torch.unique_consecutive(keys[together], return_counts=True)
    starts = torch.repeat_interleave(sizes.cumsum(0) - sizes, sizes)
    ranks = torch.empty_like(together)
    ranks[together] = torch.arange(len(keys), device=keys.device) - starts
    return ranks


def rows_by(keys: Tensor) -> list[Tensor]:
    """Split rows by key.

    Args:
        keys: int64 `[n]`.

    Returns:
        For each key, ascending, its rows: int64, ascending.
    """
    together = torch.argsort(keys, stable=True)
    _, sizes = torch.unique_consecutive(keys[together], return_counts=True)
    return list(torch.split(together, sizes.tolist()))


def one_number(pool: Pool, name: str) -> Tensor:
    """Return a signal that holds one number a row.

    Args:
        pool: The candidates.
        name: The signal.

    Returns:
        `[n]`: float32 or, where the signal is float64 or integers, float64.

    Raises:
        SignalError: If the signal has more than one number a row.
    """
    signal = pool.signal(name)
    if signal.numel() != len(signal):
        raise SignalError(
            f"signal {name!r} must hold one number a row, not {tuple(signal.shape[1:])} of them"
        )
    exact = signal.dtype == torch.float64 or not signal.is_floating_point()
    return signal.reshape(-1).to(torch.float64 if exact else torch.float32)


def from_logits(pool: Pool, score: Callable[[Tensor], Tensor]) -> Tensor:
    """Compute a score from the predicted probabilities, in double precision, block by block.

    Args:
        pool: The candidates; must have `logits`.
        score: From probabilities `[m, C]` to scores `[m]`.

    Returns:
        float64 `[n]`.

    Raises:
        SignalError: If there are fewer than two classes.
    """
    logits = class_logits(pool)
    step = max(1, BLOCK_NUMBERS // logits.shape[1])
    blocks = [score(block.to(torch.float64).softmax(dim=1)) for block in torch.split(logits, step)]
    return torch.cat(blocks)


def class_logits(pool: Pool) -> Tensor:
    """Return the logits as a matrix.

    Args:
        pool: The candidates; must have `logits`.

    Returns:
        `[n, C]`, C at least 2.

    Raises:
        SignalError: If there are fewer than two classes.
    """
    logits = as_matrix(pool.signal("logits"))
    if logits.shape[1] < 2:
        raise SignalError("signal 'logits' must hold at least two classes a row, not one number")
    return logits


def column_of(pool: Pool, by: str, option: str) -> Tensor:
    """Return the labels or groups of a pool that must have them.

    Args:
        pool: The candidates.
        by: `"labels"` or `"groups"`.
        option: What needs them, for the message.

    Returns:
        int64 `[n]`.

    Raises:
        ArgumentError: If the pool has none.
    """
    column = pool.labels if by == "labels" else pool.groups
    if column is None:
        raise ArgumentError(f"{option} needs a pool with {by}; this one has none")
    return column


def one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Check an option that is one of a few words.

    Args:
        name: The option, for the message.
        value: What was given.
        allowed: The words.

    Raises:
        ArgumentError: If it is none of them.
    """
    if value not in allowed:
        words = " or ".join(repr(word) for word in allowed)
        raise ArgumentError(f"{name} must be {words}, not {value!r}")


def signal_name(name: str, value: object) -> str:
    """Check an option that names a signal.

    Args:
        name: The option, for the message.
        value: What was given.

    Returns:
        The name.

    Raises:
        ArgumentError: If it is not a word.
    """
    if not isinstance(value, str) or not value:
        raise ArgumentError(f"{name} must be the name of a signal, not {value!r}")
    return value


def rest_of(probabilities: Tensor) -> Tensor:
    """Return the probabilities of all classes but the likeliest, whose place holds 0.

    Their sum is 1 − max p without the cancellation: where max p rounds to 1 it still tells rows
    apart.

    Args:
        probabilities: `[m, C]`.

    Returns:
        A new `[m, C]`.
    """
    likeliest = probabilities.argmax(dim=1, keepdim=True)
    return probabilities.scatter(1, likeliest, 0.0)
