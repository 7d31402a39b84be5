"""Herding: picks whose running mean follows the mean of their class.

Source: Rebuffi et al., "iCaRL: Incremental Classifier and Representation Learning", CVPR 2017,
algorithm 4; the idea is Welling's ("Herding dynamical weights to learn", ICML 2009).

Formula: with features φ, their mean μ and the picks p₁ … p_{t-1} made so far,

    p_t = argmin_x ‖ μ − (φ(x) + Σ_{j<t} φ(p_j)) / t ‖
        = argmax_x ⟨φ(x), tμ − Σ_{j<t} φ(p_j)⟩ − ‖φ(x)‖² / 2,

one matrix-vector product a pick, so O(k n d) time and O(n d) memory. The picks are a priority list:
a smaller coreset is a prefix. Rows in `given` count as picks made before the first.

Defaults: features scaled to length 1 (as in the paper); one list for each label, interleaved in
turn (first picks of all labels, then second picks …) so that every prefix is balanced, as in
Borsos et al. 2020. Pool weights, where there are any, weight the mean. `gains` are the decreases of
‖μ − mean of the label's picks‖ (the mean of no picks is the origin); single ones may be negative.

Differences from reference codes: iCaRL's own code leaves out ‖φ(x)‖²/2, the same on features of
length 1. Avalanche 0.6 doesn't normalise and ranks the whole class, O(n² d). DeepCore takes argmax
for argmin and so picks the farthest rows. PyCIL, FACIL and Mammoth give the same picks on
normalised features, up to how ties are broken; here the first row wins.

Expected numbers: 2 classes × 6,000 × 256, one thread: 100 a class about 0.1 s, 2,500 a class
about 1.0 s (`clcore speed buffers`; Avalanche's ranking of the same features 44 s in that run).
As a memory: docs/benchmarks.md.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from clcore.coreset import Coreset
from clcore.geometry import as_matrix, normalised, step_loop
from clcore.pool import Pool
from clcore.quotas import Allowance
from clcore.selector import Selector


@dataclass(frozen=True)
class Herding(Selector):
    """Greedy picks whose mean follows the mean of the class.

    Args:
        normalise: Scale each feature row to length 1 first.
        per_label: Herd each label on its own and take from them in turn; without labels, or if
            False, the pool is herded as one.
    """

    normalise: bool = True
    per_label: bool = True

    greedy: ClassVar[bool] = True

    def _select(
        self,
        pool: Pool,
        k: int,
        *,
        given: Tensor,
        allowance: Allowance,
        generator: torch.Generator,
    ) -> Coreset:
        features = as_matrix(pool.signal("features"))
        features = normalised(features) if self.normalise else features
        is_given = torch.zeros(len(pool), dtype=torch.bool, device=pool.device)
        is_given[given] = True
        herds = deque(
            _Herd(rows, features[rows], is_given[rows], pool.weights, allowance)
            for rows in self._parts(pool)
        )
        picks: list[int] = []
        gains: list[float] = []
        evaluations = 0
        with step_loop(features.numel() // max(1, len(herds))):
            while len(picks) < k:
                herd = herds.popleft()
                row, gain = herd.pick()
                evaluations += len(herd.rows)
                if row is None:
                    continue  # this label has no more: the others go on in turn
                herds.append(herd)
                picks.append(row)
                gains.append(gain)
                if allowance.take(row):
                    for other in herds:
                        other.refresh()
        return Coreset.of(picks, gains=gains, distance_evaluations=evaluations, device=pool.device)

    def _parts(self, pool: Pool) -> list[Tensor]:
        if pool.labels is None or not self.per_label:
            return [torch.arange(len(pool), device=pool.device)]
        labels = torch.unique(pool.labels).tolist()
        return [(pool.labels == label).nonzero().squeeze(1) for label in labels]


class _Herd:
    """The rows of one label and the state of their list."""

    def __init__(
        self,
        rows: Tensor,
        features: Tensor,
        is_given: Tensor,
        weights: Tensor | None,
        allowance: Allowance,
    ) -> None:
        self.rows, self.allowance = rows, allowance
        # Stored with one feature a row: the product below then streams through memory, measured
        # 1.4 to 5 times faster than with one sample a row.
        self.features = features.t().contiguous()
        exact = torch.float64  # for the few vectors of length d that add up over many steps
        if weights is None or not float(weights[rows].sum()) > 0:
            self.mean = features.mean(dim=0, dtype=exact)
        else:
            share = weights[rows].to(exact) / weights[rows].sum(dtype=exact)
            self.mean = share.to(features.dtype) @ features
            self.mean = self.mean.to(exact)
        self.count = int(is_given.sum())
        taken = features[is_given].sum(dim=0, dtype=exact)
        # count · μ − Σ φ(picks): how far the sum of the picks lags behind.
        self.lag = self.count * self.mean - taken
        self.distance = float((self.lag / self.count if self.count else self.mean).norm())
        self.half_squares = features.square().sum(dim=1) / -2
        self.scores = torch.empty_like(self.half_squares)
        self.refresh()

    def refresh(self) -> None:
        """Learn which rows may still be picked."""
        self.bias = self.half_squares + self.allowance.penalty[self.rows]

    def pick(self) -> tuple[int | None, float]:
        """Return the next row of the list and its gain, or None if no row may be picked."""
        self.lag += self.mean
        direction = self.lag.to(self.features.dtype)
        torch.addmv(self.bias, self.features.t(), direction, out=self.scores)
        best = int(self.scores.argmax())
        if self.scores[best] == -torch.inf:
            return None, 0.0
        self.bias[best] = -torch.inf
        self.lag -= self.features[:, best]
        self.count += 1
        before, self.distance = self.distance, float(self.lag.norm()) / self.count
        return int(self.rows[best]), before - self.distance
