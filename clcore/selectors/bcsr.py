"""BCSR: weights on the simplex by bilevel optimisation, pushed to the k largest by a regulariser.

Source: Hao, Ji & Liu, "Bilevel coreset selection in continual learning: a new formulation and
algorithm", NeurIPS 2023.

Formula: with a proxy θ, row losses l_i, the simplex Δ and z normal,

    min_{w ∈ Δ} Φ(w) = mean_i l_i(θ*(w)) − λ E_z[Σ of the k largest entries of w + δz],
    θ*(w) = argmin_θ Σ_i w_i l_i(θ) + μ/2 ‖θ‖².

One round is some steps of gradient descent on θ (warm), then w ← P_Δ(w − ρ/n · ∇Φ) with

    ∂Φ/∂w_i = −⟨∇l_i, v⟩ − λ P_z(i is among the k largest),   v ≈ H⁻¹ ∇mean l,
    v = η Σ_{q=0}^{Q} (I − ηH)^q ∇mean l     (Neumann), or conjugate gradients.

The proxy is softmax regression on the features, or an MLP with a hidden layer; Hessian products and
⟨∇l_i, v⟩ are matrix products (`clcore.selectors._proxy`). Probabilities are means over 32 draws.

Defaults: 5 rounds, 1 inner step, Q = 3, λ = 0.1, δ = 10⁻³ (the paper's code), μ = 10⁻³; the picks
are drawn without replacement in proportion to w (`pick="sample"`, the paper's) or are the rows of
largest w (`"largest"`). Rows without weight come last, in the order of w before its projection.
Step sizes have units here. η is `learning_rate` over the largest curvature of the inner loss at the
start, so one value suits any features: 0.5 for balanced data; 0.25 for wrong labels, where a proxy
that learns little keeps clean rows apart; 1 for imbalanced classes. w moves by ρ/n with ρ = 1,
whatever n, which is what the paper's rates come to (below). Pool weights weigh the outer mean and
the first w. Rows in `given` keep an even share of the weight.

Gradient descent that diverges (outer loss above twice that at the start, or not finite) is taken
back and tried again with a quarter of η, four times at most; then the weights of the best round
count, with a warning. The report tells how often (`rate_cuts`).

Weights sum to the pool's. Sampled picks weigh the same, since the draw was in proportion to w
already; the largest weigh in proportion to w, and at least as much as the least pick with weight.
The report tells the outer loss of the first and the last round and how many rows kept weight.

Differences from reference codes: what `preset="reference"` does. In the released code the
regulariser is differentiated for θ, on which it does not depend, so it never acts (λ = 0 here); its
noise comes after the choice of the largest; the hypergradient's inner loss is weighted by
softmax(w) where the inner steps use w. Its losses are means over n on top of weights that sum to
1, so its rates of 5 for θ and w are 5/n for the sum and, with η left out of the series, ρ = 1. The
test for imbalanced data is always true, so that its rates are 10 and η twice as large (1). It
starts from a copy of the learner (here: from zero, or a drawn MLP) and re-seeds NumPy globally; its
`multinomial` fails when fewer than k rows kept weight.

Expected numbers: MNIST pixels, 100 of 1000 rows, test accuracy of an MLP (784-256-10, Adam, 300
steps) trained on the picks alone, 5 seeds, mean ± standard deviation:

                            random      η 0.5       η 0.25      η 1         reference
    balanced                74.6 ± 2.4  77.6 ± 1.9  77.2 ± 0.9  75.1 ± 2.1  74.4 ± 1.6
    20 % random labels      61.6 ± 3.2  70.2 ± 2.7  75.4 ± 1.4  42.4 ± 12.7 42.2 ± 19.8
    classes 5 to 9 a tenth  56.6 ± 4.3  59.0 ± 2.0  49.2 ± 2.0  62.6 ± 2.6  60.5 ± 2.5

So the right η is worth 3 to 14 points and a wrong one costs as much or more. With `hidden=100` and
η 0.5: 75.4, 72.8 and 51.4. The largest weights as picks do worse than the draw. One core: 10 of 50
rows of 784 pixels 8 ms, with `hidden=100` 22 ms (a training step of an MLP 784-256-256-10 on 10
rows: 0.6 ms); 100 of 1000 rows 0.05 s and 0.2 s.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from clcore.checks import whole_number
from clcore.coreset import Coreset
from clcore.errors import ArgumentError
from clcore.geometry import step_loop
from clcore.geometry.projections import onto_simplex
from clcore.pool import Pool
from clcore.quotas import Allowance
from clcore.ranking import one_of
from clcore.selector import Selector
from clcore.selectors._hypergradient import (
    Product,
    conjugate_gradients,
    largest_curvature,
    neumann,
    weight_gradient,
)
from clcore.selectors._proxy import Point, Proxy, positive_number, proxy_rows, row_shares

Preset = Literal["paper", "reference"]

# What an option is when it is left out, by preset.
_DEFAULTS: dict[str, dict[str, float]] = {
    "paper": {"learning_rate": 0.5, "regulariser": 0.1},
    "reference": {"learning_rate": 1.0, "regulariser": 0.0},
}

_DRAWS = 32
"""Draws of z for the probability of being among the k largest."""

_DIVERGED = 2.0
"""Times the loss before the first step at which gradient descent is taken to have diverged."""

_CUTS = 4
"""How often a rate that diverges is divided by four before the method gives up."""


@dataclass(frozen=True)
class BCSR(Selector):
    """Bilevel weights on the simplex with a smoothed top-k regulariser.

    Args:
        preset: `"paper"`; or `"reference"`, what the released code does (see the module).
        hidden: Units of the proxy's hidden layer; 0 is softmax regression.
        rounds: Outer steps, on the weights.
        inner_steps: Steps of gradient descent on the proxy in each round.
        weight_rate: ρ, above 0.
        learning_rate: η in units of 1 / the largest curvature; None for the preset's, 0.5 or 1.
        regulariser: λ, at least 0; None for the preset's, 0.1 or 0.
        noise: δ, at least 0.
        decay: μ, at least 0.
        hypergradient: How H⁻¹ is applied: by a `"neumann"` series or `"conjugate-gradient"`s.
        terms: Q of the series, or the most steps of conjugate gradients.
        pick: `"sample"` in proportion to the weights, or the `"largest"`.

    Raises:
        ArgumentError: If an option is none of those allowed.
    """

    preset: Preset = "paper"
    hidden: int = 0
    rounds: int = 5
    inner_steps: int = 1
    weight_rate: float = 1.0
    learning_rate: float | None = None
    regulariser: float | None = None
    noise: float = 1e-3
    decay: float = 1e-3
    hypergradient: Literal["neumann", "conjugate-gradient"] = "neumann"
    terms: int = 3
    pick: Literal["sample", "largest"] = "sample"

    weighted: ClassVar[bool] = True
    randomised: ClassVar[bool] = True

    def __post_init__(self) -> None:
        one_of("preset", self.preset, tuple(_DEFAULTS))
        one_of("hypergradient", self.hypergradient, ("neumann", "conjugate-gradient"))
        one_of("pick", self.pick, ("sample", "largest"))
        for name, default in _DEFAULTS[self.preset].items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, default)
        for name, least in (("hidden", 0), ("rounds", 1), ("inner_steps", 1), ("terms", 0)):
            whole_number(name, getattr(self, name), least=least)
        for name in ("weight_rate", "learning_rate"):
            positive_number(name, getattr(self, name))
        for name in ("regulariser", "noise", "decay"):
            positive_number(name, getattr(self, name), zero=True)

    def _select(
        self,
        pool: Pool,
        k: int,
        *,
        given: Tensor,
        allowance: Allowance,
        generator: torch.Generator,
    ) -> Coreset:
        if pool.labels is None:
            raise ArgumentError("bcsr trains a classifier as proxy, so the pool needs labels")
        proxy, x, y = proxy_rows(pool.signal("features"), pool.labels, self.hidden)
        free = allowance.open.nonzero().squeeze(1)
        problem = _Problem(self, proxy, x, y, pool, free, given, k)
        with step_loop(2 * x.numel() * proxy.widths[1]):
            weights, order_by = problem.solve(generator)
        keys = weights.double().log()
        if self.pick == "sample":
            drawn = torch.rand(
                len(free), generator=generator, dtype=torch.float64, device=generator.device
            )
            # Gumbel's trick: the same as drawing one after the other in proportion to w.
            waiting = -torch.log1p(-drawn).clamp_max(-torch.finfo(torch.float64).tiny)
            keys = keys - waiting.log().to(keys.device)
        order = order_by.argsort(descending=True, stable=True)
        order = order[keys[order].argsort(descending=True, stable=True)]
        picks = allowance.first(free[order], k)
        placed = torch.zeros(len(pool), dtype=weights.dtype, device=pool.device)
        placed[free] = weights
        return Coreset.of(
            picks,
            weights=self._weights(placed[picks], pool),
            gains=placed[picks],
            report=problem.report,
        )

    def _weights(self, kept: Tensor, pool: Pool) -> Tensor:
        total = float(len(pool)) if pool.weights is None else pool.weights.double().sum()
        if self.pick == "sample" or not bool((kept > 0).any()):
            kept = torch.ones_like(kept)
        kept = kept.double().clamp_min(float(kept[kept > 0].min()))
        return kept * (total / kept.sum())


class _Problem:
    """One bilevel problem: which rows have weight, the proxy so far, and the rounds."""

    def __init__(
        self,
        method: BCSR,
        proxy: Proxy,
        x: Tensor,
        y: Tensor,
        pool: Pool,
        free: Tensor,
        given: Tensor,
        k: int,
    ) -> None:
        self.method, self.proxy, self.x, self.y, self.free = method, proxy, x, y, free
        self.shares = row_shares(pool, x)
        self.k = k
        assert method.learning_rate is not None  # both were filled in by the preset
        assert method.regulariser is not None
        self.learning_rate, self.regulariser = method.learning_rate, method.regulariser
        # Rows taken already keep what they would have among even picks.
        self.mass = k / (k + len(given))
        self.held = torch.zeros_like(self.shares)
        self.held[given] = 1 / (k + len(given))
        first = self.shares[free]
        if not float(first.sum()) > 0:
            first = torch.ones_like(first)
        self.weights = first * (self.mass / first.sum())
        self.report: dict[str, float] = {}

    def solve(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Run the rounds; return w of the free rows, and w before its last projection."""
        method, x = self.method, self.x
        theta = self.proxy.start(generator, x)
        weights = before = self.weights
        start = float(Point(self.proxy, theta, x, self.y).losses @ self.shares)
        best = start, weights, before
        rate, cuts, turn = self._rate(theta), 0, 0
        while turn < method.rounds:
            moved = theta
            for _ in range(method.inner_steps):
                point = Point(self.proxy, moved, x, self.y)
                moved = moved - rate * self._slope(point, moved, weights)
            point = Point(self.proxy, moved, x, self.y)
            slope = self._outer_slope(point, moved, weights, rate, generator)
            loss = float(point.losses @ self.shares)
            finite = math.isfinite(loss) and bool(torch.isfinite(slope).all())
            if not finite or loss > _DIVERGED * start:
                if cuts < _CUTS:
                    rate, cuts = rate / 4, cuts + 1
                    continue
                warnings.warn(
                    f"bcsr: the proxy diverged in round {turn + 1} of {method.rounds} (outer loss "
                    f"{loss:.3g}, {start:.3g} before the first), also with 1/{4**cuts} of the "
                    f"rate; the weights of the best round so far (outer loss {best[0]:.3g}) are "
                    "used. A smaller learning_rate helps",
                    stacklevel=4,
                )
                _, weights, before = best
                break
            if loss < best[0]:
                best = loss, weights, before
            if not turn:
                self.report["outer_loss_first"] = loss
            self.report["outer_loss_last"] = loss
            before = weights - method.weight_rate / len(weights) * slope
            weights = onto_simplex(before, self.mass)
            theta, turn = moved, turn + 1
        self.report["rate_cuts"] = float(cuts)
        self.report["rows_with_weight"] = float((weights > 0).sum())
        return weights, before

    def _full(self, weights: Tensor) -> Tensor:
        full = self.held.clone()
        full[self.free] = weights
        return full

    def _slope(self, point: Point, theta: Tensor, weights: Tensor) -> Tensor:
        return point.gradient(self._full(weights)) + self.method.decay * theta

    def _rate(self, theta: Tensor) -> float:
        point = Point(self.proxy, theta, self.x, self.y)
        full = self._full(self.weights)
        curvature = largest_curvature(
            lambda v: point.hessian_times(v, full) + self.method.decay * v,
            point.gradient(self.shares),
        )
        return self.learning_rate / curvature if curvature > 0 else 1.0

    def _outer_slope(
        self,
        point: Point,
        theta: Tensor,
        weights: Tensor,
        rate: float,
        generator: torch.Generator,
    ) -> Tensor:
        """Compute ∂Φ/∂w of the free rows."""
        method = self.method
        full = self._full(weights)
        if method.preset == "reference":
            full = full.softmax(dim=0)

        def solve(product: Product, right: Tensor) -> Tensor:
            if method.hypergradient == "neumann":
                return neumann(product, right, rate, method.terms)
            return conjugate_gradients(product, right, method.terms)

        found = weight_gradient(point, full, self.shares, method.decay, solve)
        if method.preset == "reference":
            # Through the softmax; times n, the scale of w on the simplex.
            found = len(full) * full * (found - full @ found)
        found = found[self.free]
        if self.regulariser:
            chances = top_k_chances(weights, self.k, method.noise, generator)
            found = found - self.regulariser * chances
        return found


def top_k_chances(
    weights: Tensor, k: int, noise: float, generator: torch.Generator, draws: int = _DRAWS
) -> Tensor:
    """Estimate each row's probability of being among the k largest under normal noise.

    That is the gradient for w of E_z[Σ of the k largest entries of w + δz].

    Args:
        weights: w, `[n]`.
        k: How many count, from 1 to n.
        noise: δ; with 0 only ties are left to chance.
        generator: What z is drawn from.
        draws: How many draws of z the mean is over.

    Returns:
        `[n]`, summing to k.
    """
    z = torch.randn(
        (draws, len(weights)), generator=generator, dtype=torch.float64, device=generator.device
    ).to(weights.device)
    # Tiny noise even at δ = 0, so that equal weights don't favour the first rows.
    moved = weights.double() + max(noise, 1e-12) * z
    top = moved.topk(k, dim=1).indices
    hits = torch.zeros_like(moved).scatter_(1, top, 1.0)
    return hits.mean(dim=0).to(weights)
