"""GradMatch per batch: whole mini-batches whose gradients add up to the gradient of all.

Source: Killamsetty, Sivasubramanian, Ramakrishnan, De & Iyer, "GRAD-MATCH: gradient matching based
data subset selection for efficient deep model training", ICML 2021, the per-batch variant.

Formula: with the rows split into batches B_1, B_2, … of `batch` rows and G_b = Σ_{i ∈ B_b} g_i the
last-layer gradient of a batch,

    min over S, w ≥ 0 of ‖Σ_i v_i g_i − Σ_{b ∈ S} w_b G_b‖² + λ ‖w‖²   (v: pool weights, or ones)

by orthogonal matching pursuit, as in `gradmatch` but with N/B candidates where that has N, and N/B
times C·(d + 1) numbers: sums of rank-one matrices have no factors to keep, but there are few.

Defaults: batches of 128, drawn from the generator by shuffling the rows that may be picked, so the
answer is randomised. λ = 0.5 (`ridge`), on squared lengths of the gradients of batches. Picks come
batch by batch, in the order of the pursuit and within a batch in the order of the shuffle; the last
batch is cut to make `k`, and with quotas a batch gives what they leave of it. Every row of a batch
has the weight of its batch, whole batches being what is fitted, times one factor so that the
weights of the picks sum to the weight of the pool; all alike where the fit gives weight to none.
Rows in `given` are in the fit from the start, as batches of their own. `gains` are by how much a
batch lowered the penalised squared distance, at its first row. The report says `residual`: what
the whole batches leave, as a share of the target's length. With `validation` the target is the mean
gradient of those rows, times the weight of the pool. Fewer picks are the first of more.

Differences from reference codes: CORDS takes the batches of its data loader in their order, their
mean gradients and only whole batches; it solves all weights anew at each step and drops batches for
good. The mean and the sum differ by the factor `batch`, which the weights make good, but for λ.

Expected numbers: 20,000 rows, 10 classes × 64 features, batches of 100, k = 2,000 (20 of 200
batches), one thread: 0.06 CPU s; 50,000 rows, 100 × 512, batches of 128, k = 5,000: 1.2 CPU s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from clcore.checks import whole_number
from clcore.coreset import Coreset
from clcore.geometry import step_loop
from clcore.maximisers.matching_pursuit import check_flag, most_correlated
from clcore.memory import require_bytes
from clcore.objectives._gradients import (
    check_pool,
    check_ridge,
    gradient_points,
    gradient_signals,
    matching_target,
    scaled,
)
from clcore.objectives.gradient_matching import GradientMatching
from clcore.pool import Pool
from clcore.quotas import Allowance
from clcore.randomness import permutation
from clcore.selector import Selector


@dataclass(frozen=True)
class GradmatchPerBatch(Selector):
    """Matching pursuit on the gradients of mini-batches.

    Args:
        batch: Rows in a mini-batch.
        gradients: `"last-layer"`, `"own-class"` or the name of a signal that holds gradients.
        ridge: The penalty λ on the squared weights of the batches.
        normalise: Divide correlations by the lengths of the gradients; the paper does not.
        look_ahead: Divide them by the lengths of what the picks do not span of the gradients: each
            pick then lowers the residual the most after the fit.
        bias: Whether the last layer has a bias.
        validation: Rows whose mean gradient is to be matched; None for the pool's own.
    """

    batch: int = 128
    gradients: str = "last-layer"
    ridge: float = 0.5
    normalise: bool = False
    look_ahead: bool = False
    bias: bool = True
    validation: Pool | None = None

    signals: ClassVar[tuple[str, ...]] = ("logit_gradients", "features")
    greedy: ClassVar[bool] = True
    weighted: ClassVar[bool] = True
    randomised: ClassVar[bool] = True

    def __post_init__(self) -> None:
        whole_number("batch", self.batch, least=1)
        check_ridge(self.ridge)
        for name in ("normalise", "look_ahead", "bias"):
            check_flag(name, getattr(self, name))
        check_pool("validation", self.validation)
        # What the base class asks depends on the options: say so on the instance.
        object.__setattr__(self, "signals", gradient_signals(self.gradients))

    def _select(
        self,
        pool: Pool,
        k: int,
        *,
        given: Tensor,
        allowance: Allowance,
        generator: torch.Generator,
    ) -> Coreset:
        shuffled = permutation(len(pool), generator, pool.device)
        taken = [rows for rows in torch.split(given, self.batch) if len(rows)]
        batches = [*taken, *torch.split(shuffled[allowance.open[shuffled]], self.batch)]
        function = self._function(pool, batches)
        function.start(torch.arange(len(taken), device=pool.device))
        penalty = torch.zeros(len(batches), device=pool.device)
        penalty[: len(taken)] = -torch.inf
        picks: list[Tensor] = []
        origins: list[int] = []
        gains: list[float] = []
        with step_loop(function.step):
            while len(origins) < k:
                place = most_correlated(function, penalty, self.normalise, self.look_ahead)
                penalty.index_fill_(0, place, -torch.inf)
                origin = int(place)
                rows = allowance.first(batches[origin], k - len(origins))
                if len(rows) == 0:
                    continue  # the quotas leave nothing of this batch
                before = function.value()
                function.add(place)
                for row in rows.tolist():
                    allowance.take(row)
                picks.append(rows)
                origins += [origin] * len(rows)
                gains += [function.value() - before] + [0.0] * (len(rows) - 1)
        fitted = function.fitted(torch.tensor(origins))
        return Coreset.of(
            torch.cat(picks),
            weights=scaled(fitted, pool).to(function.atoms.dtype),
            gains=gains,
            distance_evaluations=function.evaluations,
            report={"residual": function.residual()},
        )

    def _function(self, pool: Pool, batches: list[Tensor]) -> GradientMatching:
        """Make the set function whose rows are the batches and whose target is that of the rows."""
        points = gradient_points(pool, self.gradients, bias=self.bias)
        numbers = points.shape[0] * points.shape[1]
        require_bytes(
            f"the gradients of {len(batches):,} batches of {numbers:,} numbers",
            2 * len(batches) * numbers * points.errors.element_size(),
            pool.device,
            "take a larger batch=, or gradients='own-class', or the method gradmatch",
        )
        ones = torch.ones(len(pool), dtype=torch.float64, device=pool.device)
        sums = torch.empty(len(batches), numbers, dtype=points.dtype, device=pool.device)
        for place, rows in enumerate(batches):
            sums[place] = points.sums(ones[rows], rows).reshape(-1)
        target = matching_target(pool, points, self.gradients, self.bias, self.validation)
        # The mean over one row, times the number of batches, is that row times it.
        wanted = target.reshape(1, -1) / len(batches)
        return GradientMatching(
            Pool(batches=sums),
            gradients="batches",
            ridge=self.ridge,
            validation=Pool(batches=wanted),
        )
