"""Sieve streaming: one pass over the rows, with one small set for each guess of the best value.

Source: Badanidiyuru, Mirzasoleiman, Karbasi & Krause, "Streaming submodular maximization: massive
data summarization on the fly", KDD 2014 (Sieve-Streaming): for a monotone submodular function at
least ½ − ε of the best value, in one pass and with O(k ln(k) / ε) rows kept. Under quotas the
guarantee does not hold as it stands.

Formula: with m the largest gain of a single row seen so far, there is a sieve for each
v = (1 + ε)^i with m ≤ v ≤ 2 k m; a row x that comes by enters the sieve S_v if |S_v| < k and

    f(S_v ∪ {x}) − f(S_v) ≥ (v / 2 − f(S_v)) / (k − |S_v|).

The answer is the sieve of largest value. Where it holds fewer than k rows it is filled up: greedily
with rows from the other sieves, and then, if still need be, with the next rows of the stream.

Rows come by in blocks. A row's last gain bounds the gain it has now, so only those of a block are
asked whose last gain reaches the sieve's threshold, several at once, and those behind the first
that enters again: the answer is that of one row at a time. Each sieve holds a state of its own:
about ln(2k) / ln(1 + ε) times the memory of the function's state.

Defaults: ε = 0.1; `order="pool"`: rows come in the order of the pool. `order="random"` draws it.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from clcore.checks import whole_number
from clcore.errors import ArgumentError
from clcore.geometry import step_loop
from clcore.maximiser import Maximiser, Picks, Stop
from clcore.maximisers._queue import gains_of
from clcore.objective import Objective
from clcore.quotas import Allowance
from clcore.randomness import permutation


@dataclass(frozen=True)
class Sieve(Maximiser):
    """Pick from a stream in one pass.

    Args:
        epsilon: The step between two guesses of the best value, and what may be lost of the
            value; above 0 and below 1.
        order: `"pool"` or `"random"`: how the rows come by.
        block: How many rows are asked at once.
    """

    epsilon: float = 0.1
    order: str = "pool"
    block: int = 256

    prefix: ClassVar[bool] = False
    # Even in the order of the pool the answer depends on what that order happens to be.
    randomised: ClassVar[bool] = True
    needs_submodular: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.epsilon < 1:
            raise ArgumentError(f"epsilon must be above 0 and below 1, not {self.epsilon!r}")
        if self.order not in ("pool", "random"):
            raise ArgumentError(f"order must be 'pool' or 'random', not {self.order!r}")
        whole_number("block", self.block, least=1)

    def _maximise(
        self,
        objective: Objective,
        k: int,
        allowance: Allowance,
        generator: torch.Generator,
        stop: Stop,
    ) -> Picks:
        base, target = objective.value(), stop.target(objective)
        stream = torch.arange(len(objective), device=objective.device)
        if self.order == "random":
            stream = permutation(len(objective), generator, objective.device)
        rows: NDArray[np.int64] = stream[allowance.open[stream]].cpu().numpy()
        with step_loop(self.block * objective.step):
            sieves = self._pass(objective, k, allowance, rows, stop)
            best = _Basket(objective, k, allowance)
            for sieve in sieves:
                best = sieve if sieve.gained > best.gained else best
            kept = np.array(sorted({row for sieve in sieves for row in sieve.picks.rows}))
            best.fill(kept.astype(np.int64), stop)
            for start in range(0, len(rows), self.block):
                best.fill(rows[start : start + self.block], stop)
        objective.evaluations += sum({id(b): b.evaluations for b in [best, *sieves]}.values())
        picks = _until(best.picks, target - base)
        if len(picks):
            objective.add(torch.tensor(picks.rows, device=objective.device))
        for row in picks.rows:
            allowance.take(row)
        return picks

    def _pass(
        self,
        objective: Objective,
        k: int,
        allowance: Allowance,
        rows: NDArray[np.int64],
        stop: Stop,
    ) -> list[_Basket]:
        """Send all rows by; return the sieves, the smallest guess first."""
        sieves: dict[int, _Basket] = {}
        growth, most = math.log1p(self.epsilon), 0.0
        for start in range(0, len(rows), self.block):
            block = rows[start : start + self.block]
            singles = gains_of(objective, block)
            most = max(most, float(singles.max()))
            if most <= 0:
                continue
            low = math.ceil(math.log(most) / growth)
            high = math.floor(math.log(2 * k * most) / growth)
            # A sieve that begins now has missed nothing: no row so far would have entered it.
            sieves = {
                guess: sieves.get(guess) or _Basket(objective, k, allowance)
                for guess in range(low, high + 1)
            }
            for guess, sieve in sieves.items():
                sieve.offer(block, singles, math.exp(guess * growth) / 2, stop)
        return list(sieves.values())


_ASKED = 32
"""Rows that a sieve asks at once: until the first that enters, so not too many."""


class _Basket:
    """The rows that one sieve holds.

    Args:
        objective: The function, at the set from which all begin.
        k: The most rows.
        allowance: Which rows may be taken.
    """

    def __init__(self, objective: Objective, k: int, allowance: Allowance) -> None:
        self.objective = objective.fork()
        self.k = k
        self.allowance = copy.deepcopy(allowance)
        self.picks = Picks()
        self.gained = 0.0

    @property
    def evaluations(self) -> int:
        """What this sieve's gains took."""
        return self.objective.evaluations

    def offer(
        self, rows: NDArray[np.int64], singles: NDArray[np.float64], half: float, stop: Stop
    ) -> None:
        """Let in the rows that pass, one after the other.

        Args:
            rows: `[m]`, in the order of the stream.
            singles: `[m]`: their gains where nothing was picked, which bound those here.
            half: Half the guess.
            stop: Its gain is a second threshold.
        """
        bounds, start = singles.copy(), 0
        while len(self.picks) < self.k:
            level = (half - self.gained) / (self.k - len(self.picks))
            near = start + np.flatnonzero(bounds[start:] >= level)[:_ASKED]
            if len(near) == 0:
                return
            if len(self.picks):  # an empty sieve's gains are the singles
                bounds[near] = gains_of(self.objective, rows[near])
            near_open = near[self._open(rows[near])]
            passing = [
                place
                for place in near_open[bounds[near_open] >= level].tolist()
                if not stop.before(float(bounds[place]))
            ]
            start = 1 + (passing[0] if passing else int(near[-1]))
            if passing:
                self._take(int(rows[passing[0]]), float(bounds[passing[0]]))

    def fill(self, rows: NDArray[np.int64], stop: Stop) -> None:
        """Add the best of some rows until there are `k` picks or none of them is left."""
        while len(self.picks) < self.k:
            rows = rows[self._open(rows)]
            if len(rows) == 0:
                return
            gains = gains_of(self.objective, rows)
            place = int(gains.argmax())
            if stop.before(float(gains[place])):
                return
            self._take(int(rows[place]), float(gains[place]))

    def _open(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        where = torch.from_numpy(rows).to(self.allowance.penalty.device)
        flags: NDArray[np.bool_] = self.allowance.open[where].cpu().numpy()
        return flags

    def _take(self, row: int, gain: float) -> None:
        self.objective.add(torch.tensor([row], device=self.objective.device))
        self.allowance.take(row)
        self.picks.append(row, gain)
        self.gained += gain


def _until(picks: Picks, gained: float) -> Picks:
    """Keep the picks up to the first at which their gains sum to `gained`."""
    total, kept = 0.0, Picks()
    for row, gain in zip(picks.rows, picks.gains, strict=True):
        if total >= gained:
            break
        kept.append(row, gain)
        total += gain
    return kept
