"""How a budget is shared: evenly among parts, within a part in proportion to weight."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clcore.quotas import fair_shares


def shares_of_parts(
    total: int, parts: Sequence[int], sizes: Sequence[int], weights: Sequence[float]
) -> list[int]:
    """Give each part the same, and its groups in proportion to their weight.

    What a part can't use goes to the others; what can't be divided evenly goes to the parts with
    the highest numbers. Within a part every group gets one before any gets a second, the rest by
    the method of Webster and Sainte-Laguë.

    Args:
        total: The budget.
        parts: Number of the part that each group belongs to (its task).
        sizes: The most that each group can take.
        weights: How much data each group stands for; none negative.

    Returns:
        One share a group; they sum to `min(total, sum(sizes))`.

    Example:
        >>> shares_of_parts(9, [0, 0, 1], [50, 50, 50], [30.0, 10.0, 500.0])
        [3, 1, 5]
    """
    members: dict[int, list[int]] = {}
    for place, part in enumerate(parts):
        members.setdefault(part, []).append(place)
    latest_first = sorted(members, reverse=True)
    room = [sum(sizes[place] for place in members[part]) for part in latest_first]
    shares = [0] * len(parts)
    for part, share in zip(latest_first, fair_shares(total, room), strict=True):
        places = members[part]
        owner = np.repeat(places, [sizes[place] for place in places])
        number = np.concatenate([np.arange(sizes[place]) for place in places])
        quotient = np.asarray(weights, dtype=np.float64)[owner] / (2 * number + 1)
        order = np.lexsort((-quotient, number > 0))[:share]
        for place in owner[order].tolist():
            shares[place] += 1
    return shares
