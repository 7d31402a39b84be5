"""Contextual diversity: farthest-first picks by how differently the network predicts them.

Source: Agarwal et al., "Contextual diversity for active learning", ECCV 2020; in the form for
classification of DeepCore (Guo et al. 2022).

Formula: with the predicted probabilities p and half the symmetric Kullback-Leibler divergence

    d(x, z) = ½ Σ_c (p_c(x) − p_c(z)) (log p_c(x) − log p_c(z)),

each pick is the row farthest from all picks before it. Written as
½ (h(x) + h(z) − ⟨p(x), log p(z)⟩ − ⟨log p(x), p(z)⟩) with h = ⟨p, log p⟩ it is one matrix-vector
product a pick: O(k n C) time, O(n C) memory, no n × n matrix.

Defaults: the first pick is the row with the least mean divergence from all, so the answer needs no
randomness (`first="random"` draws it); with rows in `given` the traversal goes on from those. No
balance between labels; with `per_label` every label is traversed on its own and has its turns in
proportion to its size. Double precision throughout; the rounding of the product is taken off and
what is then negative counts as 0. `gains` are the divergences of the picks from the nearest before
them; 0 for a first one. Ties go to the lowest row.

Differences from reference codes: DeepCore balances labels, begins at a random row, holds the
divergences of all picks to all rows, and divides p by p, so that a probability that has become 0
gives NaN. The paper's mixture of predictions over image regions is for segmentation.

Expected numbers: on the digits of tests/clcore/selectors/test_noisy_digits.py, 100 picks leave a
largest divergence to the nearest pick of 0.33 (random 1.09) and a mean one of 0.106 (random 0.095):
like every farthest-first method it serves the outermost rows.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from clcore.coreset import Coreset
from clcore.geometry import step_loop
from clcore.pool import Pool
from clcore.quotas import Allowance
from clcore.randomness import permutation
from clcore.ranking import class_logits, column_of, one_of, rows_by
from clcore.selector import Selector


@dataclass(frozen=True)
class ContextualDiversity(Selector):
    """Farthest-first picks on the divergence of predictions.

    Args:
        first: The first pick where nothing is given: `"medoid"`, the row with the least mean
            divergence from all, or `"random"`.
        per_label: Traverse each label on its own; each has its proportional share.
    """

    first: Literal["medoid", "random"] = "medoid"
    per_label: bool = False

    signals: ClassVar[tuple[str, ...]] = ("logits",)
    greedy: ClassVar[bool] = True

    def __post_init__(self) -> None:
        one_of("first", self.first, ("medoid", "random"))
        object.__setattr__(self, "randomised", self.first == "random")

    def _select(
        self,
        pool: Pool,
        k: int,
        *,
        given: Tensor,
        allowance: Allowance,
        generator: torch.Generator,
    ) -> Coreset:
        logits = class_logits(pool)
        parts = [torch.arange(len(pool), device=pool.device)]
        if self.per_label:
            parts = rows_by(column_of(pool, "labels", "per_label"))
        drawn = permutation(len(pool), generator, pool.device) if self.first == "random" else None
        is_given = torch.zeros(len(pool), dtype=torch.bool, device=pool.device)
        is_given[given] = True
        traversals = [_Traversal(rows, logits[rows], is_given[rows], drawn) for rows in parts]
        picks: list[Tensor] = []
        gains: list[Tensor] = []
        # Webster's turns: the label whose next row has the smallest (count + ½) / size.
        turns = [(part.turn, place) for place, part in enumerate(traversals)]
        heapq.heapify(turns)
        with step_loop(max(part.step for part in traversals)):
            while len(picks) < k:
                part = traversals[turns[0][1]]
                picked = part.pick(allowance)
                if picked is None:
                    heapq.heappop(turns)  # this label has no more: the others go on in turn
                    continue
                heapq.heapreplace(turns, (part.turn, turns[0][1]))
                picks.append(picked[0])
                gains.append(picked[1])
        evaluations = sum(part.evaluations for part in traversals)
        return Coreset.of(
            torch.cat(picks), gains=torch.cat(gains), distance_evaluations=evaluations
        )


class _Traversal:
    """The rows of one label, and how far each is from the picks made so far."""

    def __init__(
        self, rows: Tensor, logits: Tensor, is_given: Tensor, drawn: Tensor | None
    ) -> None:
        self.rows, self.drawn, self.evaluations = rows, drawn, 0
        logs = logits.to(torch.float64).log_softmax(dim=1)
        # One class a row of the matrix: the product then streams through memory.
        self.both = torch.cat([logs, logs.exp()], dim=1).t().contiguous()
        self.classes = logits.shape[1]
        sums = (logs * logs.exp()).sum(dim=1) / 2
        # h is negative: made larger by the rounding of a sum, it takes that rounding off.
        self.halves = sums * (1 + (8 + self.classes) * torch.finfo(sums.dtype).eps)
        # Divergence from the nearest taken row; −1 for the taken ones themselves.
        self.closest = torch.full_like(sums, torch.inf)
        self._buffer = torch.empty_like(sums)
        self.count = int(is_given.sum())
        for place in is_given.nonzero():
            self._visit(place)

    @property
    def step(self) -> int:
        """Multiplications that one pick takes."""
        return self.both.numel()

    @property
    def turn(self) -> float:
        """When this label is due: smaller is earlier."""
        return (self.count + 0.5) / len(self.rows)

    def pick(self, allowance: Allowance) -> tuple[Tensor, Tensor] | None:
        """Return the next row and its divergence, each `[1]`, or None if no row may be picked."""
        if self.count == len(self.rows):
            return None
        fresh = self.count == 0
        wanted = self._preference() if fresh else self.closest
        if allowance.keys is not None:  # else rows close only by being taken
            wanted = wanted + allowance.penalty[self.rows]
            if bool(wanted.max() == -torch.inf):
                return None
        place = wanted.argmax().reshape(1)
        row = self.rows[place]
        gain = torch.zeros_like(self.closest[place]) if fresh else self.closest[place]
        self._visit(place)
        self.count += 1
        if allowance.keys is not None:
            allowance.take(int(row))
        return row, gain

    def _visit(self, place: Tensor) -> None:
        """Note a row as taken; place is int64 `[1]`."""
        self.evaluations += len(self.rows)
        taken = self.both.index_select(1, place).squeeze(1)
        torch.minimum(self.closest, self._divergences(taken, self.halves[place]), out=self.closest)
        self.closest.index_fill_(0, place, -1.0)

    def _divergences(self, taken: Tensor, half: Tensor) -> Tensor:
        """Return the divergences of all rows from one; the next call overwrites them."""
        crossed = torch.cat([taken[self.classes :], taken[: self.classes]])
        torch.addmv(self.halves, self.both.t(), crossed, alpha=-0.5, out=self._buffer)
        return self._buffer.add_(half).clamp_min_(0.0)

    def _preference(self) -> Tensor:
        """Return what the first pick maximises: nearness to all, or a random order."""
        if self.drawn is not None:
            places = torch.empty_like(self.drawn)
            places[self.drawn] = torch.arange(len(self.drawn), device=self.drawn.device)
            return -places[self.rows].to(self.closest.dtype)
        self.evaluations += len(self.rows)
        return -self._divergences(self.both.mean(dim=1), self.halves.mean())
