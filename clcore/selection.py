"""The front door: one line from a name to a coreset."""

from __future__ import annotations

from collections.abc import Mapping
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
    k: int,
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
        k: How many to pick. Where fewer are available, all that are.
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
    """
    if isinstance(selector, str):
        method = registry.create(selector, **options)
    elif not isinstance(selector, Selector):
        raise ArgumentError(f"selector must be a name or a Selector, not {selector!r}")
    elif options:
        raise ArgumentError(f"options go with a name, not with a ready selector: {sorted(options)}")
    else:
        method = selector
    if generator is None:
        generator = torch.Generator().manual_seed(whole_number("seed", seed))
    return method.select(
        pool, k, given=given, quotas=quotas, quota_by=quota_by, generator=generator
    )
