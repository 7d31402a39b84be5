"""Herding: picks whose running mean follows the mean of their class.

Source: Rebuffi et al., "iCaRL: Incremental Classifier and Representation Learning", CVPR 2017,
algorithm 4; the idea is Welling's ("Herding dynamical weights to learn", ICML 2009).

Formula: with features φ, their mean μ and the picks p₁ … p_{t-1} made so far,

    p_t = argmin_x ‖ μ − (φ(x) + Σ_{j<t} φ(p_j)) / t ‖
        = argmax_x ⟨φ(x), tμ − Σ_{j<t} φ(p_j)⟩ − ‖φ(x)‖² / 2,

so every row is scored for every pick: O(k n d) time, O(n d) memory. On the CPU the scores come from
rows rounded to bytes, with a bound on the error; the few rows that may be the best are computed in
double precision, so the picks are those of double precision (`clcore.geometry.herding_loop`). On a
GPU it is one matrix-vector product a pick. The picks are a priority list: a smaller coreset is a
prefix. Rows in `given` count as picks made before the first.

Defaults: features scaled to length 1 (as in the paper); one list for each label, interleaved in
turn (first picks of all labels, then second picks …) so that every prefix is balanced, as in
Borsos et al. 2020. Pool weights, where there are any, weight the mean. `gains` are the decreases of
‖μ − mean of the label's picks‖ (the mean of no picks is the origin); single ones may be negative.

Differences from reference codes: iCaRL's own code leaves out ‖φ(x)‖²/2, the same on features of
length 1. Avalanche 0.6 doesn't normalise and ranks the whole class, O(n² d). DeepCore takes argmax
for argmin and so picks the farthest rows. PyCIL, FACIL and Mammoth give the same picks on
normalised features, up to how ties are broken; here the first row wins.

Expected numbers: CPU seconds on one core, in brackets those of one matrix-vector product a pick.
Rows as in tests/clcore/selectors/test_expected_numbers.py, one herd: 50,000 × 64, 5,000 picks 1.1
(3.3); 20,000 × 512, 500 picks 0.19 (1.3). One Gaussian, 50,000 × 64, 500 picks: 0.12 (0.29).
As a memory: docs/benchmarks.md.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from clcore.coreset import Coreset
from clcore.geometry import as_matrix, step_loop
from clcore.geometry.herds import DeviceHerd, Herd, inverse_lengths
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
        matrix = as_matrix(pool.signal("features"))
        scale = torch.ones(len(pool), dtype=torch.float64, device=pool.device)
        scale = inverse_lengths(matrix) if self.normalise else scale
        is_given = torch.zeros(len(pool), dtype=torch.bool, device=pool.device)
        is_given[given] = True
        parts = self._parts(pool)
        kind = Herd if pool.device.type == "cpu" else DeviceHerd
        with step_loop(matrix.numel() // len(parts)):
            herds = [kind(matrix, scale, rows, is_given, pool.weights) for rows in parts]
            if _independent(parts, allowance):
                picks, gains, work = _at_once(herds, k, allowance)
            else:
                picks, gains, work = _in_turn(herds, k, allowance)
        return Coreset.of(picks, gains=gains.to(torch.float32), distance_evaluations=work)

    def _parts(self, pool: Pool) -> list[Tensor]:
        if pool.labels is None or not self.per_label:
            return [torch.arange(len(pool), device=pool.device)]
        labels = torch.unique(pool.labels).tolist()
        return [(pool.labels == label).nonzero().squeeze(1) for label in labels]


def _independent(parts: list[Tensor], allowance: Allowance) -> bool:
    """Say whether no quota concerns more than one herd, nor only a part of one."""
    if allowance.keys is None:
        return True
    found = [torch.unique(allowance.keys[rows]) for rows in parts]
    return all(len(keys) == 1 for keys in found) and len(torch.unique(torch.cat(found))) == len(
        found
    )


def _at_once(herds: list[Herd], k: int, allowance: Allowance) -> tuple[Tensor, Tensor, int]:
    """Make each herd's list in one go and interleave them."""
    device = herds[0].rows.device
    capacities = [allowance.capacity(herd.rows) for herd in herds]
    turns = torch.cat([torch.arange(capacity) for capacity in capacities])
    owners = torch.repeat_interleave(torch.arange(len(herds)), torch.tensor(capacities))
    # Owners ascend, so a stable sort by turn keeps them in order within each turn.
    order = torch.argsort(turns, stable=True)[:k]
    owners = owners[order]
    picks = torch.empty(len(order), dtype=torch.int64, device=device)
    gains = torch.empty(len(order), dtype=torch.float64)
    work = 0
    for place, herd in enumerate(herds):
        mine = (owners == place).nonzero().squeeze(1)
        herd.restrict(allowance.open)
        rows, falls = herd.more(len(mine))
        picks[mine.to(device)], gains[mine] = rows, falls
        work += len(mine) * len(herd.rows)
    return picks, gains, work


def _in_turn(herds: list[Herd], k: int, allowance: Allowance) -> tuple[Tensor, Tensor, int]:
    """Take from the herds one by one, since a pick of one may close rows of another."""
    waiting = deque(herds)
    for herd in waiting:
        herd.restrict(allowance.open)
    picks: list[Tensor] = []
    gains: list[Tensor] = []
    work = 0
    while len(picks) < k:
        herd = waiting.popleft()
        if not bool(herd.is_open.any()):
            continue  # this herd has no more: the others go on in turn
        row, gain = herd.more(1)
        waiting.append(herd)
        picks.append(row)
        gains.append(gain)
        work += len(herd.rows)
        if allowance.take(int(row)):
            for other in waiting:
                other.restrict(allowance.open)
    return torch.cat(picks), torch.cat(gains), work
