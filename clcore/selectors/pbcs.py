"""PBCS: probabilities of keeping each row, learned by policy gradient around trained models.

Source: Zhou, Pi, Zhang, Lin, Chen & Zhang, "Probabilistic bilevel coreset selection", ICML 2022.

Formula: with probabilities s ∈ [0, 1]ⁿ, Σ s ≤ K, masks m ~ Bernoulli(s) and the loss L of a model
that was trained on the masked rows, on all rows,

    min_s E_m[L(θ*(m))],   ∇ ≈ 1/(C−1) Σ_c (L_c − L̄) (m_c − s) / (s(1 − s))

over C masks, with the mean of all as baseline. Adam on s (rate 0.05, cosine), gradient norm cut at
3, then the exact projection onto {0 ≤ s ≤ 1, Σ s ≤ K_t}. The budget K_t goes from `start`·n to K,
cubically, between 16 % and 60 % of the rounds. At the end masks are drawn again; each is made to K
rows (masked rows first, then the others, by s) and the one whose model has the lowest loss is kept.

Defaults: `preset="quick"`, meant for a CPU: C = 4 masks, 150 rounds of 20 inner steps (Adam, rate
0.02, cosine), models started from the mean of those of the round before. `preset="paper"`: C = 5,
2000 rounds of 300 inner steps (rate 0.005) from the same first parameters each time: 3 million
inner steps. The model is softmax regression on the features, or an MLP (`hidden`); the C models
are trained at once, each on its own masked rows. s(1 − s) is at least 0.01 in the denominator: a
probability near 0 or 1 would make the gradient arbitrarily long, and the cut would leave nothing
for the others. Pool weights weigh L. Rows in `given` are always in the mask. Picks come in order
of s, for masked rows; all weights are 1. The report tells the loss of the first and last round's
mean model and of the picks. A mask whose model diverged is left out of its round, with a warning.

Differences from reference codes: the released code anneals only when told to and starts at K by
default; returns as many rows as the mask has, K on average; bisects the projection with 20 steps;
divides by s(1 − s) with 10⁻²⁰ in place of zero; keeps the score of a diverged draw, so that losses
and scores no longer belong together; calls wandb and CUDA unconditionally. Its model is a
convolutional network.

Expected numbers: MNIST pixels, 100 of 1000 rows, quick preset, test accuracy of an MLP (784-256-10,
Adam, 300 steps) trained on the picks alone, 5 seeds: 77.6 ± 1.6, random picks 74.6 ± 2.4 (softmax
regression: 75.8 ± 2.5 and 72.9 ± 2.6); with 20 % random labels 66.6 ± 3.8 and 61.6 ± 3.2; with
classes 5 to 9 a tenth as frequent 61.9 ± 2.5 and 56.6 ± 4.3. One core: 6 s. `rate=0.01` and
`start=0.5` gained nothing (3 seeds); the paper's preset was not run through.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from clcore.checks import whole_number
from clcore.coreset import Coreset
from clcore.errors import ArgumentError
from clcore.geometry import step_loop
from clcore.geometry.projections import onto_budget
from clcore.pool import Pool
from clcore.quotas import Allowance
from clcore.ranking import one_of
from clcore.selector import Selector
from clcore.selectors._adam import Adam
from clcore.selectors._proxy import Point, Proxy, positive_number, proxy_rows, row_shares

Preset = Literal["quick", "paper"]


class _Plan(NamedTuple):
    """The options that a preset sets."""

    draws: int
    rounds: int
    inner_steps: int
    inner_rate: float
    rate: float


_PRESETS = {
    "quick": _Plan(draws=4, rounds=150, inner_steps=20, inner_rate=0.02, rate=0.05),
    "paper": _Plan(draws=5, rounds=2000, inner_steps=300, inner_rate=0.005, rate=0.05),
}
_ANNEALED = (0.16, 0.6)
_LONGEST = 3.0
_LEAST_VARIANCE = 0.01


@dataclass(frozen=True)
class PBCS(Selector):
    """Keep-probabilities by policy gradient, then the best of some drawn coresets.

    The default preset is the quick one; the paper's own takes hours on a CPU.

    Args:
        preset: `"quick"` or `"paper"`: sets those of the next five options that are None.
        draws: C, masks in each round; at least 2.
        rounds: Steps on the probabilities.
        inner_steps: Steps of Adam on the models in each round.
        inner_rate: Their learning rate, falling to 0 within the round.
        rate: Adam's rate for the probabilities, falling to 0 over the rounds.
        hidden: Units of the model's hidden layer; 0 is softmax regression.
        start: The budget at the start as a fraction of the pool; at least the final one is taken.
        decay: Weight decay of the models.
        final_draws: How many coresets are compared at the end.

    Raises:
        ArgumentError: If an option is none of those allowed.
    """

    preset: Preset = "quick"
    draws: int | None = None
    rounds: int | None = None
    inner_steps: int | None = None
    inner_rate: float | None = None
    rate: float | None = None
    hidden: int = 0
    start: float = 0.0
    decay: float = 1e-3
    final_draws: int = 10

    randomised: ClassVar[bool] = True

    def __post_init__(self) -> None:
        one_of("preset", self.preset, tuple(_PRESETS))
        for name, value in _PRESETS[self.preset]._asdict().items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        least = {"hidden": 0, "draws": 2, "rounds": 1, "inner_steps": 1, "final_draws": 1}
        for name, bound in least.items():
            whole_number(name, getattr(self, name), least=bound)
        for name in ("inner_rate", "rate"):
            positive_number(name, getattr(self, name))
        for name in ("start", "decay"):
            positive_number(name, getattr(self, name), zero=True)
        if self.start > 1:
            raise ArgumentError(f"start is a fraction of the pool, at most 1, not {self.start!r}")

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
            raise ArgumentError("pbcs trains classifiers, so the pool needs labels")
        free = allowance.open.nonzero().squeeze(1)
        if len(free) == k:
            return Coreset.of(free)
        proxy, x, y = proxy_rows(pool.signal("features"), pool.labels, self.hidden)
        models = _Models(self, proxy, x, y, row_shares(pool, x), given)
        with step_loop(models.plan.draws * k * proxy.size):
            anchor, chances, report = models.learn(free, k, generator)
            picks, loss = models.best(anchor, free, chances, k, allowance, generator)
        if models.diverged:
            warnings.warn(
                f"pbcs: {models.diverged} models diverged and were left out of their rounds; a "
                "smaller inner_rate helps",
                stacklevel=3,
            )
        return Coreset.of(picks, report={**report, "loss_picks": loss})


class _Models:
    """Models trained on masked rows, and the search for the best mask."""

    def __init__(
        self, method: PBCS, proxy: Proxy, x: Tensor, y: Tensor, shares: Tensor, given: Tensor
    ) -> None:
        names = _Plan._fields
        self.method, self.plan = method, _Plan(*(getattr(method, name) for name in names))
        self.proxy, self.x, self.y, self.shares, self.given = proxy, x, y, shares, given
        self.diverged = 0

    def learn(
        self, free: Tensor, k: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, dict[str, float]]:
        """Learn the probabilities of the free rows; also return where the models start last."""
        plan, warm = self.plan, self.method.preset == "quick"
        anchor = self.proxy.start(generator, self.x)
        size = min(len(free), max(k, round(self.method.start * len(self.x))))
        chances = torch.full_like(self.x[free, 0], size / len(free))
        adam = Adam(plan.rate)
        report: dict[str, float] = {}
        for turn in range(plan.rounds):
            drawn = self._uniform((plan.draws, len(free)), generator)
            masks = drawn < chances
            models, losses = self._train(anchor, free, masks)
            good = losses.isfinite()
            self.diverged += int((~good).sum())
            if int(good.sum()) >= 2:
                slope = policy_gradient(losses[good], masks[good], chances)
                slope = slope * (_LONGEST / slope.norm().clamp_min(_LONGEST))
                chances = adam.step(
                    chances, slope, 0.5 + 0.5 * math.cos(math.pi * turn / plan.rounds)
                )
                chances = onto_budget(chances, self._budget(turn, size, k))
                anchor = models[good].mean(dim=0) if warm else anchor
                report.setdefault("loss_first", float(losses[good].mean()))
                report["loss_last"] = float(losses[good].mean())
        return anchor, chances, report

    def best(
        self,
        anchor: Tensor,
        free: Tensor,
        chances: Tensor,
        k: int,
        allowance: Allowance,
        generator: torch.Generator,
    ) -> tuple[Tensor, float]:
        """Draw coresets of exactly k rows; return the one whose model has the lowest loss."""
        drawn = self._uniform((self.method.final_draws, len(free)), generator)
        # Ties, such as many probabilities of zero, are broken by the draw.
        shuffled = self._uniform((len(free),), generator).argsort()
        by_chance = shuffled[chances[shuffled].argsort(descending=True, stable=True)]
        masks = drawn < chances
        picked = []
        for mask in masks:
            order = by_chance[mask[by_chance].to(torch.uint8).argsort(descending=True, stable=True)]
            picked.append(allowance.first(free[order], k))
        places = torch.full((len(self.x),), -1, device=free.device)
        places[free] = torch.arange(len(free), device=free.device)
        exact = torch.zeros_like(masks)
        exact.scatter_(1, places[torch.stack(picked)], True)
        _, losses = self._train(anchor, free, exact)
        self.diverged += int((~losses.isfinite()).sum())
        chosen = int(losses.nan_to_num(torch.inf, torch.inf).argmin())
        return picked[chosen], float(losses[chosen])

    def _budget(self, turn: int, first: int, last: int) -> float:
        begin, end = (part * self.plan.rounds for part in _ANNEALED)
        left = 1 - min(1.0, max(0.0, (turn - begin) / (end - begin)))
        return last + (first - last) * left**3

    def _train(self, anchor: Tensor, free: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Train one model a mask, all at once; return parameters `[C, P]` and losses `[C]`."""
        rows, weights = self._gathered(free, masks)
        x, y = self.x[rows], self.y[rows]
        theta = anchor.expand(len(masks), -1)
        adam, steps = Adam(self.plan.inner_rate), self.plan.inner_steps
        for step in range(steps):
            slope = Point(self.proxy, theta, x, y).gradient(weights) + self.method.decay * theta
            theta = adam.step(theta, slope, _cosine(step, steps))
        return theta, Point(self.proxy, theta, self.x, self.y).losses @ self.shares

    def _gathered(self, free: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """List the rows of each mask, padded to the longest, with weights that sum to 1."""
        longest = max(1, int(masks.sum(dim=1).max()))
        order = masks.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :longest]
        taken = self.given.expand(len(masks), -1)
        rows = torch.cat((taken, free[order]), dim=1)
        used = torch.cat((torch.ones_like(taken, dtype=torch.bool), masks.gather(1, order)), dim=1)
        weights = used.to(self.x)
        return rows, weights / weights.sum(dim=1, keepdim=True).clamp_min(1)

    def _uniform(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        drawn = torch.rand(shape, generator=generator, dtype=torch.float64, device=generator.device)
        return drawn.to(self.x.device)


def policy_gradient(losses: Tensor, masks: Tensor, chances: Tensor) -> Tensor:
    """Estimate ∇_s E[L(m)] from drawn masks, with their mean loss as baseline.

    Args:
        losses: L_c, `[C]`, C ≥ 2.
        masks: Drawn with these probabilities, bool `[C, n]`.
        chances: s, `[n]`.

    Returns:
        `[n]`; unbiased where s(1 − s) is at least 0.01, shortened elsewhere.
    """
    scores = (masks.to(chances) - chances) / (chances * (1 - chances)).clamp_min(_LEAST_VARIANCE)
    return (losses - losses.mean()) @ scores / (len(losses) - 1)


def _cosine(step: int, steps: int) -> float:
    return 0.5 + 0.5 * math.cos(math.pi * step / steps)
