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

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from clcore.coreset import Coreset
from clcore.geometry import as_matrix, step_loop
from clcore.geometry.herds import interleave
from clcore.geometry.mean_herds import DeviceMeanHerd, MeanHerd, inverse_lengths
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
        parts = parts_of(pool, self.per_label)
        kind = MeanHerd if pool.device.type == "cpu" else DeviceMeanHerd
        with step_loop(matrix.numel() // len(parts)):
            herds = [kind(matrix, scale, rows, is_given, pool.weights) for rows in parts]
            picks, gains, work = interleave(herds, k, allowance)
        return Coreset.of(picks, gains=gains.to(torch.float32), distance_evaluations=work)


def parts_of(pool: Pool, per_label: bool) -> list[Tensor]:
    """Return the rows of each label, labels ascending; one part with all rows without labels.

    Args:
        pool: The candidates.
        per_label: False for one part in any case.
    """
    if pool.labels is None or not per_label:
        return [torch.arange(len(pool), device=pool.device)]
    labels = torch.unique(pool.labels).tolist()
    return [(pool.labels == label).nonzero().squeeze(1) for label in labels]
