"""Greedy coreset: each pick lowers most the loss, on all rows, of a kernel model trained on them.

Source: Borsos, Mutný & Krause, "Coresets via bilevel optimization for continual learning and
streaming", NeurIPS 2020, algorithm 1, with the representer proxy.

Formula: over sets S of k rows and weights w ≥ 0,

    min G(w) = Σ_x v_x ℓ(θ*(x), y_x) / Σ_x v_x,
    θ* = argmin_θ (1/|S|) Σ_{i∈S} w_i ℓ(θ(x_i), y_i) + λ ‖θ‖²,

θ in the function space of a kernel, v the pool weights (or ones). By the implicit function theorem
a row not yet in S, of weight 0, has

    ∂G/∂w_k = −(1/|S|) ⟨R_k, (H⁻¹ g)(x_k)⟩,   g = Σ_x v_x R_x K(x, ·) / Σ_x v_x,

R the softmax errors (p − onehot) and H the Hessian of the inner problem. The candidate with the
most negative derivative is taken, the inner problem solved again, and all weights refitted by
`refits` steps of Adam on G. The model that is learning is never consulted: the kernel is the neural
tangent kernel of a fully connected ReLU network. Everything is exact up to the solvers and without
a loop over candidates: Newton's method from the last solution, conjugate gradients in |S| × C
numbers, one matrix product for all candidates (`clcore.geometry.representer`). Time
O(k n c C) for c candidates plus the kernel of the rows looked at, O(k c n d) at most; memory for
k n numbers, and for those of the kernel that were needed while there are no more than 2²³.

Defaults: those of the paper's continual learning: λ = 1e-3, 200 candidates drawn for each pick, 50
steps of conjugate gradients, one refit at rate 0.01, the first pick drawn (`start=1`). The paper's
data summarisation: `regularisation=1e-7, refits=10, refit_rate=0.05, start=10`; for imbalanced
streams λ = 1e-4. `start=0` takes the first pick by the rule too (θ = 0), and with
`candidates=None` nothing is drawn. Features are the inputs, shifted and scaled by the mean and the
standard deviation of all their numbers, as the codes' normalisation of MNIST does; then the kernel
of σ_w = 1, σ_b = 0.05 and two hidden layers. `kernel="rbf"` is exp(−‖x − y‖² / d),
`kernel="linear"` ⟨x, y⟩ / d + 1. Classes are those in the pool, with an empty one added to a pool
of one class, so that its rows are told apart. Rows in `given` are in S from the start, their
weights fitted with the others, but have no weight in the answer. The weights of the picks are
multiplied by one factor so that they sum to the weight of the pool. `gains` are the falls of G,
before anything is picked log C; single ones may be negative. The report has `outer_loss`, and
`residual` and `linear_residual`, the worst of the solvers.

Differences from reference codes: the authors' code restricts θ to the span of S and the candidates
and takes the mean in H over both, so λ weighs |S ∪ C| / |S| times more in H than in the problem
that was solved; here H is that of the problem, over all functions. Its weights start from 1 at each
pick (ours from where they were), so that one refit leaves them at 1 ± 0.01, and are then thrown
away in continual learning and streaming; ours are returned. It solves once more than is used,
clamps derivatives to ±1, starts from random coefficients, and has ten classes always. On split
MNIST it takes the kernel of a convolutional network.

Expected numbers: CPU seconds on one thread, kernel included, on the first 1,000 training images of
MNIST: 10 / 25 / 50 / 100 picks 0.2 / 0.3 / 0.5 / 1.0 (a plain re-implementation of the authors'
code 2.6 / 4.0 / 9.7 / 27), with all rows as candidates 1.2 for 100, of two classes 0.7, with λ =
1e-4 1.4; the summarisation setting 36 (its systems have to be factorised); out of 10,000 images 33,
nearly all of it for 100 × 200 rows of the kernel. The 100 picks have 8 to 12 of each class, weights
from 6.7 to 12.9 and G = 0.98; Fashion-MNIST 0.9 s, 8 to 13, G = 0.91.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from clcore.checks import whole_number
from clcore.coreset import Coreset
from clcore.errors import ArgumentError
from clcore.geometry import as_matrix, step_loop
from clcore.geometry.kernels import check_positive
from clcore.geometry.representer import LOOSE, KernelSoftmax
from clcore.maximisers.matching_pursuit import check_flag
from clcore.objectives._gradients import row_weights, scaled
from clcore.pool import Pool
from clcore.quotas import Allowance
from clcore.randomness import permutation
from clcore.ranking import column_of, one_of
from clcore.selector import Selector
from clcore.selectors._representer import KernelRows


@dataclass(frozen=True)
class GreedyCoreset(Selector):
    """Bilevel coreset by matching pursuit on a kernel proxy.

    Args:
        kernel: `"ntk"`, `"rbf"` or `"linear"`.
        depth: Hidden layers of the network whose tangent kernel it is.
        regularisation: λ, positive.
        candidates: How many rows are drawn and compared for each pick; None for all.
        start: How many picks are drawn before the rule sets in, if nothing is given.
        refits: Steps on the weights after each pick.
        refit_rate: Rate of these steps, positive.
        inner_steps: The most Newton steps of one solution of the inner problem.
        inner_tolerance: What may be left of its equations, as a share of the coefficients; from 0
            to below 1.
        conjugate_gradient_steps: The most steps of one linear system.
        standardise: Shift and scale the features, by one number each.
    """

    kernel: Literal["ntk", "rbf", "linear"] = "ntk"
    depth: int = 2
    regularisation: float = 1e-3
    candidates: int | None = 200
    start: int = 1
    refits: int = 1
    refit_rate: float = 0.01
    inner_steps: int = 50
    inner_tolerance: float = 1e-4
    conjugate_gradient_steps: int = 50
    standardise: bool = True

    greedy: ClassVar[bool] = True
    weighted: ClassVar[bool] = True
    randomised: ClassVar[bool] = True

    def __post_init__(self) -> None:
        one_of("kernel", self.kernel, ("ntk", "rbf", "linear"))
        check_positive("regularisation", self.regularisation)
        check_positive("refit_rate", self.refit_rate)
        whole_number("depth", self.depth)
        whole_number("start", self.start)
        whole_number("refits", self.refits)
        whole_number("inner_steps", self.inner_steps, least=1)
        whole_number("conjugate_gradient_steps", self.conjugate_gradient_steps, least=1)
        if self.candidates is not None:
            whole_number("candidates", self.candidates, least=1)
        tolerance = self.inner_tolerance
        is_number = isinstance(tolerance, int | float) and not isinstance(tolerance, bool)
        if not (is_number and 0 <= tolerance < 1):
            raise ArgumentError(
                f"inner_tolerance must be a number from 0 to below 1, not {tolerance!r}"
            )
        check_flag("standardise", self.standardise)
        # Nothing is drawn where all are compared and the first pick is by the rule as well.
        object.__setattr__(self, "randomised", self.candidates is not None or self.start > 0)

    def _select(
        self,
        pool: Pool,
        k: int,
        *,
        given: Tensor,
        allowance: Allowance,
        generator: torch.Generator,
    ) -> Coreset:
        pursuit = _Pursuit(self, pool, len(given) + k)
        losses, picks = [], []
        with step_loop(pursuit.step):
            pursuit.add(given)
            losses.append(pursuit.loss)
            for place in range(k):
                drawn = place < self.start and not len(given)
                rows = _draw(allowance, 1 if drawn else self.candidates, generator)
                row = int(rows[0] if drawn else rows[pursuit.scores(rows).argmax()])
                allowance.take(row)
                picks.append(row)
                pursuit.add(torch.tensor([row], device=pool.device))
                losses.append(pursuit.loss)
        _warn(pursuit.problem, self)
        return Coreset.of(
            torch.tensor(picks, device=pool.device),
            weights=scaled(pursuit.problem.weights[len(given) :], pool),
            gains=torch.tensor(losses, dtype=torch.float64).diff().neg(),
            distance_evaluations=pursuit.rows.evaluations,
            report={
                "outer_loss": losses[-1],
                "residual": pursuit.problem.residual,
                "linear_residual": pursuit.problem.linear_residual,
            },
        )


class _Pursuit:
    """The set so far, the model that it trains, and the model's errors on all rows."""

    def __init__(self, method: GreedyCoreset, pool: Pool, most: int) -> None:
        labels = column_of(pool, "labels", method.name)
        found, self.labels = torch.unique(labels, return_inverse=True)
        classes = max(2, len(found))
        self.method = method
        self.rows = KernelRows(
            as_matrix(pool.signal("features")), method.kernel, method.depth, method.standardise
        )
        self.problem = KernelSoftmax(
            classes,
            method.regularisation,
            newton_steps=method.inner_steps,
            conjugate_gradient_steps=method.conjugate_gradient_steps,
            tolerance=method.inner_tolerance,
            device=pool.device,
        )
        weights = row_weights(pool)
        self.shares = (weights / weights.sum()).unsqueeze(1)
        self.targets = torch.nn.functional.one_hot(self.labels, classes).double()
        self.members = self.labels[:0]
        # The kernel between the members and all rows, one row a member.
        self.kernel = self.targets.new_empty(most, len(pool))
        self.step = len(pool) * classes * max(most, method.candidates or len(pool))
        self.loss = 0.0
        self._observe()

    def add(self, rows: Tensor) -> None:
        """Take rows in, solve the inner problem and refit the weights."""
        if not len(rows):
            return
        held = len(self.members)
        self.members = torch.cat((self.members, rows))
        self.kernel[held : held + len(rows)] = self.rows.of(rows)
        self.problem.grow(self._between(self.members), self.labels[rows])
        self.problem.solve()
        self._observe()
        first = torch.zeros_like(self.problem.weights)
        second = torch.zeros_like(first)
        for step in range(1, self.method.refits + 1):
            slope = self._slopes()
            first.lerp_(slope, 0.1)
            second.lerp_(slope * slope, 0.001)
            size = (second / (1 - 0.999**step)).sqrt_().add_(1e-8)
            change = first / (1 - 0.9**step) / size
            moved = self.problem.weights - self.method.refit_rate * change
            self.problem.weights = moved.clamp_min_(0)
            self.problem.solve()
            self._observe()

    def scores(self, rows: Tensor) -> Tensor:
        """Return how fast the loss on all rows falls with the weight of each candidate."""
        falls = self.rows.of(rows) @ self.pull
        falls -= self._between(rows).T @ self.answer
        return (self.errors[rows] * falls).sum(dim=1)

    def _slopes(self) -> Tensor:
        """Return ∂G/∂w of the members."""
        falls = self.kernel[: len(self.members)] @ self.pull - self.problem.kernel @ self.answer
        slopes = (self.problem.errors * falls).sum(dim=1)
        return slopes / (-2 * self.method.regularisation * len(self.members))

    def _between(self, rows: Tensor) -> Tensor:
        """Return the kernel between the members and some rows."""
        return self.kernel[: len(self.members)].index_select(1, rows)

    def _observe(self) -> None:
        """Compute the errors on all rows, their pull and the answer of the model to it."""
        kernel = self.kernel[: len(self.members)]
        logs = (kernel.T @ self.problem.coefficients).log_softmax(dim=1)
        self.loss = -float((self.shares * logs * self.targets).sum())
        self.errors = logs.exp_().sub_(self.targets)
        self.pull = self.shares * self.errors
        self.answer = self.problem.respond(kernel @ self.pull)


def _draw(allowance: Allowance, count: int | None, generator: torch.Generator) -> Tensor:
    """Draw rows that may be picked; all of them, unless there are more than asked for."""
    rows = allowance.open.nonzero().squeeze(1)
    if count is None or count >= len(rows):
        return rows
    return rows[permutation(len(rows), generator, rows.device)[:count]]


def _warn(problem: KernelSoftmax, method: GreedyCoreset) -> None:
    """Say what the solvers left."""
    if problem.residual > max(method.inner_tolerance, 1e-8):
        warnings.warn(
            f"greedy-coreset: the inner problem was left with a relative residual of "
            f"{problem.residual:.2g} where inner_tolerance = {method.inner_tolerance:g}; more "
            "inner_steps or conjugate_gradient_steps, or a larger regularisation, help",
            stacklevel=4,
        )
    if problem.linear_residual > LOOSE:
        warnings.warn(
            f"greedy-coreset: a linear system was left with a relative residual of "
            f"{problem.linear_residual:.2g} after {method.conjugate_gradient_steps} steps; more "
            "conjugate_gradient_steps, or a larger regularisation, help",
            stacklevel=4,
        )
