"""The rules of an allowance in the form that step loops want: columns, not calls."""

from __future__ import annotations

import torch
from torch import Tensor

from clcore.quotas import Allowance


def quota_columns(allowance: Allowance) -> tuple[Tensor, Tensor]:
    """Return the quotas as two columns.

    Args:
        allowance: Which rows may be picked.

    Returns:
        int64 `[n]`: the quota that each row counts for; int64 `[m]`: how many picks each quota has
        left. Both are empty where there are no quotas.
    """
    device = allowance.penalty.device
    if allowance.keys is None:
        return (torch.empty(0, dtype=torch.int64, device=device),) * 2
    keys = torch.empty(len(allowance.penalty), dtype=torch.int64, device=device)
    left = []
    for place, (rows, capacity) in enumerate(allowance.parts()):
        keys[rows] = place
        left.append(capacity)
    return keys, torch.tensor(left, dtype=torch.int64, device=device)


def take_all(allowance: Allowance, rows: Tensor) -> None:
    """Record picks.

    Args:
        allowance: Which rows may be picked; changed in place.
        rows: int64 `[k]`, in pick order.
    """
    if allowance.keys is None:
        allowance.penalty[rows] = -torch.inf
    else:
        for row in rows.tolist():
            allowance.take(row)


class DeviceRules:
    """An allowance whose picks are known to the device alone, so that no step waits for the host.

    Args:
        allowance: Which rows may be picked; it is not changed.

    Attributes:
        penalty: `[n]`: 0 where a row may be picked, minus infinity where not.
    """

    def __init__(self, allowance: Allowance) -> None:
        self.penalty = allowance.penalty.clone()
        self._keys, self._left = quota_columns(allowance)
        self._one = torch.ones(1, dtype=torch.int64, device=self.penalty.device)

    def take(self, row: Tensor) -> None:
        """Record a pick: int64 `[1]`."""
        self.penalty.index_fill_(0, row, -torch.inf)
        if len(self._keys):
            key = self._keys.index_select(0, row)
            self._left.index_add_(0, key, self._one, alpha=-1)
            used_up = self._left.index_select(0, key) == 0
            self.penalty.masked_fill_((self._keys == key) & used_up, -torch.inf)
