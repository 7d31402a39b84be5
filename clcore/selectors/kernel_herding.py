"""Kernel herding: picks whose mean embedding follows that of the pool (greedy MMD).

Source: Chen, Welling & Smola, "Super-samples from kernel herding", UAI 2010; the distance is the
maximum mean discrepancy of Gretton et al., "A kernel two-sample test", JMLR 2012.

Formula: with a kernel κ on the features, μ(x) = Σ_y w(y) κ(x, y) / Σ_y w(y) and the picks
p₁ … p_{t-1} made so far,

    p_t = argmax_x t μ(x) − Σ_{j<t} κ(x, p_j),

which is argmin_x ‖ μ − (κ(x, ·) + Σ_{j<t} κ(p_j, ·)) / t ‖, since κ(x, x) = 1. The mean takes n²
pairs once, in blocks; each pick one row of the kernel. O(n²) time, O(n d) memory beside a block
(up to 2,048 rows all pairs are kept, 16 MiB).

Defaults: `kernel="rbf"`, κ = exp(−d²/σ²), `bandwidth="median"`: σ is the median distance between
rows, of 256 of them evenly spaced where there are more. One list for the whole pool;
`per_label=True` herds each label on its own, interleaved in turn. `normalise=False`.
`references=m` takes the mean over m evenly spaced rows instead of all, O(n m). Pool weights weigh
the mean. Rows in `given` count as picks made before the first. `gains` are the decreases of the
distance ‖μ − mean of the picks‖ (the mean of no picks is 0); single ones may be negative. Ties go
to the lowest row.

Differences from reference codes: the paper draws super-samples from all of space; here they are
rows, each once. coreax keeps the n × n kernel or a block of it and may repeat rows.

Expected numbers: digits, 16 principal components, 64 of 512 drawn, mean Fréchet distance of the
batch to all digits over 12 draws: random 1.07, k-center 0.85, kernel herding 0.25
(test_kernel_herding.py). CPU seconds on one core, rows as in test_expected_numbers.py: 64 of
512 × 64 3.5 ms, a third of it the median; 4,096 × 64, 512 picks 0.16; 20,000 × 64, 200 picks 1.9;
50,000 × 64, 500 picks with references=5000 1.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from clcore.checks import whole_number
from clcore.coreset import Coreset
from clcore.errors import ArgumentError
from clcore.geometry import as_matrix, normalised, step_loop
from clcore.geometry.herds import interleave
from clcore.geometry.kernel_herds import KernelHerd, median_distance
from clcore.geometry.kernels import KernelName, coverage_kernel
from clcore.pool import Pool
from clcore.quotas import Allowance
from clcore.selector import Selector
from clcore.selectors.herding import parts_of


@dataclass(frozen=True)
class KernelHerding(Selector):
    """Greedy picks whose mean under a kernel follows the mean of the pool.

    Args:
        kernel: `"rbf"` exp(−d²/σ²), `"laplace"` exp(−d/σ), `"student-t"` 1/(1 + d²/σ²) or
            `"top-hat"` [d ≤ σ].
        bandwidth: σ, in units of the distance, or `"median"` for the median distance.
        normalise: Scale each feature row to length 1 first.
        per_label: Herd each label on its own and take from them in turn.
        references: Over how many evenly spaced rows the mean is taken; None for all.
    """

    kernel: KernelName = "rbf"
    bandwidth: float | str = "median"
    normalise: bool = False
    per_label: bool = False
    references: int | None = None

    greedy: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if isinstance(self.bandwidth, str) and self.bandwidth != "median":
            raise ArgumentError(
                f"bandwidth must be a positive number or 'median', not {self.bandwidth!r}"
            )
        coverage_kernel(self.kernel, 1.0 if isinstance(self.bandwidth, str) else self.bandwidth)
        if self.references is not None:
            whole_number("references", self.references, least=1)

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
        matrix = normalised(matrix) if self.normalise else matrix
        width = self.bandwidth
        kernel = coverage_kernel(
            self.kernel, median_distance(matrix) if isinstance(width, str) else width
        )
        is_given = torch.zeros(len(pool), dtype=torch.bool, device=pool.device)
        is_given[given] = True
        with step_loop(matrix.numel()):
            herds = [
                KernelHerd(
                    matrix[rows],
                    kernel,
                    rows,
                    is_given,
                    weights=pool.weights,
                    references=self.references,
                )
                for rows in parts_of(pool, self.per_label)
            ]
            picks, gains, work = interleave(herds, k, allowance)
        work += sum(herd.evaluations for herd in herds)
        return Coreset.of(picks, gains=gains.to(torch.float32), distance_evaluations=work)
