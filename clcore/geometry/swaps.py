"""Exchange of medoids: a set is bettered by putting one row in the place of another.

Source: Kaufman & Rousseeuw 1987 (PAM); the removal losses that make it k times faster are those of
Schubert & Rousseeuw, "Fast and eager k-medoids clustering", 2021 (FasterPAM).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clcore.geometry.kernels import Kernel
from clcore.geometry.points import BLOCK_BYTES, Points

LEAST = 1e-6
"""The least improvement, as a share of the total: less than that may be rounding."""


@dataclass
class Exchange:
    """Medoids, and what each row is to them.

    Args:
        points: The rows.
        kernel: Gives the distances that are summed: −κ.
        weights: `[n]`.
        medoids: int64 `[k]`: at least two.
        fixed: How many of them, from the first on, have to stay.
        keys: int64 `[n]`: quotas; a row is exchanged for one of the same quota.
    """

    points: Points
    kernel: Kernel
    weights: Tensor
    medoids: Tensor
    fixed: int
    keys: Tensor

    def __post_init__(self) -> None:
        self._weights = self.weights.double().cpu().numpy()
        self._keys = self.keys.cpu().numpy()
        self._assign()

    def total(self) -> float:
        """Return the weighted sum of the distances to the nearest medoid."""
        return float(self._first @ self._weights)

    def improve(self, candidates: Tensor) -> int:
        """Look at every candidate once, and exchange those that help, the best first.

        All are first judged with the medoids as they are, so their order does not matter; each is
        judged again when its turn comes.

        Args:
            candidates: int64 `[m]`: rows that may come in; medoids among them are passed over.

        Returns:
            How many exchanges were made.
        """
        from clcore.geometry.swap_loops import best_exchange, scan

        k = len(self.medoids)
        change, allowed = np.empty(k), np.empty(k, dtype=np.int64)
        promise = np.empty(len(candidates))
        block = max(1, BLOCK_BYTES // (16 * len(self.points)))
        medoid_keys = self._medoid_keys()
        for start in range(0, len(candidates), block):
            rows = candidates[start : start + block]
            scan(
                self._distances(rows),
                self._first,
                self._second,
                self._owner,
                self._weights,
                self._removal,
                self._keys,
                rows.cpu().numpy(),
                medoid_keys,
                change,
                allowed,
                promise[start : start + block],
            )
        made = 0
        for place in np.argsort(promise, kind="stable").tolist():
            least = -LEAST * self.total()
            if not promise[place] < least:
                break
            row = candidates[place : place + 1]
            if bool((self.medoids == row).any()):
                continue
            allowed = (self._medoid_keys() == self._keys[int(row)]).astype(np.int64)
            gain, out = best_exchange(
                self._distances(row)[0],
                self._first,
                self._second,
                self._owner,
                self._weights,
                self._removal,
                allowed,
                change,
            )
            if gain < least:
                self.medoids = self.medoids.clone()
                self.medoids[out] = row
                self._assign()
                made += 1
        return made

    def _medoid_keys(self) -> NDArray[np.int64]:
        keys: NDArray[np.int64] = self._keys[self.medoids.cpu().numpy()].copy()
        keys[: self.fixed] = -1
        return keys

    def _distances(self, rows: Tensor) -> NDArray[np.float64]:
        away: NDArray[np.float64] = (-self.kernel.of(self.points.to_rows(rows))).cpu().numpy()
        return away

    def _assign(self) -> None:
        """Find the nearest and the second nearest medoid of each row, block by block."""
        n = len(self.points)
        first = torch.full((n,), torch.inf, device=self.points.device, dtype=torch.float64)
        second, owner = first.clone(), torch.zeros(n, dtype=torch.int64, device=first.device)
        block = max(2, BLOCK_BYTES // (16 * n))
        for start in range(0, len(self.medoids), block):
            rows = self.medoids[start : start + block]
            away = -self.kernel.of(self.points.to_rows(rows)).double()
            near, place = away.topk(min(2, len(rows)), dim=0, largest=False)
            low = near[1] if len(rows) > 1 else torch.full_like(first, torch.inf)
            second = torch.minimum(torch.maximum(first, near[0]), torch.minimum(second, low))
            owner = torch.where(near[0] < first, place[0] + start, owner)
            first = torch.minimum(first, near[0])
        self._first, self._second = first.cpu().numpy(), second.cpu().numpy()
        self._owner = owner.cpu().numpy()
        loss = (self._second - self._first) * self._weights
        self._removal = np.bincount(self._owner, weights=loss, minlength=len(self.medoids))
