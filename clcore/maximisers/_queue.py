"""The queue of stale gains that the lazy maximisers share.

Gains of a submodular function only fall, so the last gain computed of a row bounds its gain now.
The bounds of all rows lie in one numpy array; a *front* of those with the largest bounds is looked
at in every step, the rest only once the best of the front no longer beats the best of the rest. So
a step costs a few operations on some hundred numbers, whatever the size of the pool.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clcore.errors import ArgumentError
from clcore.maximiser import Picks, Stop
from clcore.objective import Objective
from clcore.quotas import Allowance

LOWEST = float(np.finfo(np.float64).min)
"""What a gain of minus infinity counts as, so that an open row stays above a closed one."""


WORTH_A_CALL = 2**17
"""Multiplications that take about as long as calling for them does (measured)."""


class Queue:
    """Rows in the order of their gains, of which only the foremost are computed anew.

    Args:
        objective: What gives the gains. Where it is not submodular a stale gain bounds nothing,
            and every open row is asked again in every step.
        allowance: Which rows are open; `take` records picks in it.
        batch: How many rows are asked at once; None for as many as make a call worth its while.
        costs: Positive `[n]`: rows are ordered by gain over cost. None for ones.
        first: `[n]`: the gains now, where they are known already.

    Attributes:
        bounds: float64 `[n]`: gain over cost when last computed; minus infinity where closed.
        size: Picks so far.
    """

    def __init__(
        self,
        objective: Objective,
        allowance: Allowance,
        batch: int | None = None,
        costs: NDArray[np.float64] | None = None,
        first: NDArray[np.float64] | None = None,
    ) -> None:
        self.objective, self.allowance, self.costs = objective, allowance, costs
        self._fixed = batch
        self.size = 0
        self.bounds = np.full(len(objective), -np.inf)
        self._fresh_at = np.zeros(len(objective), dtype=np.int64)
        rows = np.flatnonzero(self._open())
        self._record(rows, gains_of(objective, rows) if first is None else first[rows])
        self.rebuild()

    @property
    def batch(self) -> int:
        """How many rows are asked at once now."""
        return batch_for(self.objective) if self._fixed is None else self._fixed

    def best(self) -> tuple[int, float] | None:
        """Find the row of largest gain over cost now; the lowest of those that are equal.

        Returns:
            The row and its gain over cost, or None where no row is open.
        """
        if self._asks_all():
            rows = np.flatnonzero(self.bounds > -np.inf)
            place = int(self.ask(rows).argmax()) if len(rows) else 0
            found = int(rows[place]) if len(rows) else -1
            return (found, float(self.bounds[found])) if len(rows) else None
        batch = self.batch
        while True:
            place = int(self._values.argmax()) if len(self._values) else -1
            key = float(self._values[place]) if place >= 0 else -np.inf
            if max(key, self._floor) == -np.inf:
                return None
            row = int(self._front[place])
            if key < self._floor or (key == self._floor and row > self._floor_row):
                self.rebuild()
            elif self._fresh_at[row] == self.size:
                return row, key
            else:
                self._refresh(place, batch)
                batch *= 2  # the harder the search, the larger the products

    def take(self, row: int) -> None:
        """Put an open row into the set and record it in the allowance."""
        self.objective.add(torch.tensor([row], device=self.objective.device))
        self.size += 1
        self.bounds[row] = -np.inf
        place = int(np.searchsorted(self._front, row))
        if place < len(self._front) and self._front[place] == row:
            self._values[place] = -np.inf
        if self.allowance.take(row):
            self.close(~self._open())

    def close(self, rows: NDArray[np.bool_]) -> None:
        """Take rows out for good.

        Args:
            rows: Which, `[n]`.
        """
        rows = rows & (self.bounds > -np.inf)
        if rows.any():
            self.bounds[rows] = -np.inf
            self.rebuild()

    def ask(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Compute gains over costs of some open rows now.

        Args:
            rows: `[m]`.

        Returns:
            `[m]`, which are the rows' bounds from now on.
        """
        self._record(rows, gains_of(self.objective, rows))
        found: NDArray[np.float64] = self.bounds[rows]
        return found

    def climb(self, picks: Picks, k: int, stop: Stop, target: float) -> None:
        """Take the best row until there are `k` picks, none is left or there is reason to stop.

        Args:
            picks: Added to.
            k: How many there shall be.
            stop: When to stop sooner.
            target: The value at which to stop.
        """
        while len(picks) < k and not (target < np.inf and self.objective.value() >= target):
            best = self.best()
            if best is None or stop.before(best[1]):
                break
            self.take(best[0])
            picks.append(*best)

    def _asks_all(self) -> bool:
        """Whether asking every open row is no slower than asking some (or no gain is a bound)."""
        cheap = len(self.bounds) * self.objective.step <= 16 * WORTH_A_CALL
        return not self.objective.submodular or (cheap and self._fixed is None)

    def _open(self) -> NDArray[np.bool_]:
        flags: NDArray[np.bool_] = self.allowance.open.cpu().numpy()
        return flags

    def _record(self, rows: NDArray[np.int64], gains: NDArray[np.float64]) -> None:
        # Rounding may let a fresh gain come out above its bound; the fresh one counts.
        self.bounds[rows] = gains if self.costs is None else gains / self.costs[rows]
        self._fresh_at[rows] = self.size

    def _refresh(self, place: int, batch: int) -> None:
        """Compute the foremost stale rows of the front, the one at `place` among them."""
        stale = np.flatnonzero((self._fresh_at[self._front] < self.size) & (self._values > -np.inf))
        if len(stale) > batch:
            order = np.argpartition(self._values[stale], -batch)[-batch:]
            stale = stale[order]
            if not (stale == place).any():  # one of several that are equal
                stale[0] = place
        rows = self._front[stale]
        self._values[stale] = self.ask(rows)

    def rebuild(self) -> None:
        """Choose the front anew: the largest bounds, of equal ones the lowest rows, ascending."""
        count = max(256, 8 * self.batch)
        bounds = self.bounds
        self._floor, self._floor_row = -np.inf, len(bounds)
        if count >= len(bounds):
            self._front = np.arange(len(bounds))
        else:
            level = np.partition(bounds, -count)[-count]
            chosen = bounds > level
            equal = np.flatnonzero(bounds == level)
            room = count - int(chosen.sum())
            chosen[equal[:room]] = True
            self._front = np.flatnonzero(chosen)
            if len(equal) > room:
                self._floor, self._floor_row = float(level), int(equal[room])
            else:
                rest = bounds[bounds < level]
                self._floor = float(rest.max()) if len(rest) else -np.inf
                self._floor_row = -1 if self._floor > -np.inf else len(bounds)
        self._values = bounds[self._front]


def batch_for(objective: Objective) -> int:
    """Say how many rows to ask at once: at least 16, more where a gain is cheap."""
    return max(16, WORTH_A_CALL // max(1, objective.step))


def gains_of(objective: Objective, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute gains and bring them to the host.

    Args:
        objective: The set function.
        rows: `[m]`.

    Returns:
        float64 `[m]`, finite: minus infinity becomes the lowest number there is.

    Raises:
        ArgumentError: If a gain is NaN.
    """
    if len(rows) == 0:
        return np.zeros(0)
    asked: Tensor = torch.from_numpy(np.ascontiguousarray(rows)).to(objective.device)
    gains: NDArray[Any] = objective.gains(asked).detach().cpu().numpy().astype(np.float64)
    if np.isnan(gains.sum()) and np.isnan(gains).any():
        row = int(rows[int(np.isnan(gains).argmax())])
        raise ArgumentError(f"the gain of {objective.name} for row {row} is NaN")
    bounded: NDArray[np.float64] = np.maximum(gains, LOWEST)
    return bounded
