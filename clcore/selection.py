"""The front door: one line from a name to a coreset."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch

from clcore.checks import whole_number
from clcore.coreset import Coreset
from clcore.errors import ArgumentError
from clcore.pool import Pool
from clcore.selector import QuotaBy, Selector
from clcore.selectors import registry


def select(
    selector: str | Selector,
    pool: Pool,
    k: int | float | str,
    *,
    seed: int = 0,
    generator: torch.Generator | None = None,
    given: Any = None,
    quotas: Mapping[int, int] | None = None,
    quota_by: QuotaBy = "labels",
    **options: Any,
) -> Coreset:
    """Pick `k` rows of a pool with a method given by name.

    Args:
        selector: A name such as `"k-center"` (underscores do too), or a selector.
        pool: The candidates.
        k: How many to pick: a whole number, or a share of the pool as a `float` strictly between
            0 and 1 or as a text such as `"1%"`; see `count_of`. Where fewer are available, all
            that are.
        seed: Seed of the randomness, where the method has any.
        generator: Randomness to draw from instead of a fresh generator with `seed`.
        given: Integers `[g]`: rows taken already.
        quotas: From label to the most picks of that label.
        quota_by: Whether the quotas are per `"labels"` or per `"groups"`.
        **options: The method's options; only with a name.

    Returns:
        The coreset: indices, weights, gains and cost.

    Raises:
        UnknownNameError: If there is no such method; suggests the nearest.
        ArgumentError: If an argument is wrong; the message names it.
        SignalError: If a signal is missing or holds NaN or infinity.

    Example:
        >>> pool = Pool(features=torch.eye(4), labels=[0, 0, 1, 1])
        >>> len(select("herding", pool, 2, seed=0))
        2
        >>> len(select("herding", pool, "75%"))
        3
    """
    method = ready_selector(selector, options)
    # What is no pool is refused by the method, whatever k is.
    if isinstance(k, str | float) and isinstance(pool, Pool):
        k = count_of(k, len(pool))
    if generator is None:
        generator = torch.Generator().manual_seed(whole_number("seed", seed))
    return method.select(
        pool, k, given=given, quotas=quotas, quota_by=quota_by, generator=generator
    )


def count_of(k: int | float | str, rows: int) -> int:
    """Say how many rows a number or a share means.

    A share of 1.0 is refused because it may as well have been meant as one row: write `"100%"` for
    all rows and 1 for one.

    Args:
        k: A whole number, a `float` strictly between 0 and 1, or a text such as `"1%"`, above 0
            and at most 100.
        rows: The size of the pool.

    Returns:
        The whole number as it is; of a share, `max(1, round(share * rows))`, and 0 of an empty
        pool.

    Raises:
        ArgumentError: If `k` is anything else.

    Example:
        >>> count_of(0.1, 1797), count_of("1%", 1797), count_of("0.01%", 1797), count_of(7, 1797)
        (180, 18, 1, 7)
    """
    if isinstance(k, str):
        share = _percentage(k)
    elif isinstance(k, float):
        share = k if 0.0 < k < 1.0 else math.nan
    else:
        return whole_number("k", k)
    if math.isnan(share):
        raise ArgumentError(
            "k must be a whole number of at least 0, a share as a float strictly between 0 and 1, "
            f"or a text such as '1%' (above 0 and at most 100), not {k!r}"
        )
    return min(rows, max(1, round(share * rows)))


def _percentage(text: str) -> float:
    """Read `"1%"` as 0.01; NaN where it is no percentage above 0 and at most 100."""
    number, sign, rest = text.strip().partition("%")
    if not sign or rest:
        return math.nan
    try:
        value = float(number)
    except ValueError:
        return math.nan
    return value / 100 if 0.0 < value <= 100.0 else math.nan


def ready_selector(selector: str | Selector, options: Mapping[str, Any]) -> Selector:
    """Make a selector of a name and options, or take one as it is.

    Args:
        selector: A name, or a selector.
        options: The method's options; only with a name.

    Returns:
        The selector.

    Raises:
        UnknownNameError: If there is no such method.
        ArgumentError: If it is neither, or options come with a selector.
    """
    if isinstance(selector, str):
        return registry.create(selector, **options) if options else _with_defaults(selector)
    if not isinstance(selector, Selector):
        raise ArgumentError(f"selector must be a name or a Selector, not {selector!r}")
    if options:
        raise ArgumentError(f"options go with a name, not with a ready selector: {sorted(options)}")
    return selector


@cache
def _with_defaults(name: str) -> Selector:
    """Make a selector once: it is frozen, and looking up its options takes as long as a pick."""
    return registry.create(name)
