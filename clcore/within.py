"""As few picks as keep an error: the coreset is chosen by what it must certify, not by its size.

Source: Mirzasoleiman, Bilmes & Leskovec, "Coresets for data-efficient training of machine learning
models", ICML 2020: the smallest S for which Σ_x min_{s ∈ S} ‖ g(x) − g(s) ‖ ≤ ε.

Formula: the certified error of picks S is

    E(S) = Σ_x w(x) min_{s ∈ S} ‖ g(x) − g(s) ‖,

and with γ_s the weight of the rows whose nearest pick is s,

    ‖ Σ_x w(x) g(x) − Σ_s γ_s g(s) ‖ ≤ E(S).

Relative errors are E(S) / Σ_x w(x) ‖ g(x) ‖, that is, shares of n times the mean length.

No method that ends finds the smallest S. Of a greedy selector this is its shortest prefix, found in
runs that double; of another a k that keeps the error where a smaller one that was tried does not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from clcore.checks import whole_number
from clcore.coreset import Coreset, Cost
from clcore.errors import ArgumentError, SignalError
from clcore.geometry import Points, as_matrix
from clcore.guard import guard
from clcore.objectives.kernel_coverage import cell_weights
from clcore.pool import Pool
from clcore.selection import ready_selector
from clcore.selector import QuotaBy, Selector

SIGNALS = {
    "logits": ("logit_gradients",),
    "last_layer": ("logit_gradients", "features"),
    "features": ("features",),
}
"""What each kind of gradients is read from, as in `craig`."""

FIRST = 16
"""How many picks the first run makes."""

BLOCK = 2**22
"""Distances computed together: 32 MiB of float64."""


def select_within(
    selector: str | Selector,
    pool: Pool,
    error: float,
    *,
    relative: bool = True,
    measured: str | None = None,
    most: int | None = None,
    tolerance: float = 0.0,
    seed: int = 0,
    generator: torch.Generator | None = None,
    given: Any = None,
    quotas: Mapping[int, int] | None = None,
    quota_by: QuotaBy = "labels",
    **options: Any,
) -> Coreset:
    """Pick as few rows as keep a certified error.

    Args:
        selector: A name such as `"craig"`, or a selector.
        pool: The candidates.
        error: ε: the largest certified error allowed.
        relative: Whether ε is a share of Σ w ‖g‖; else it is on the scale of E itself.
        measured: What g is: `"logits"`, `"last_layer"` or `"features"`. None: the selector's
            `gradients` where it has such an option, else `"features"`.
        most: The most picks; None for as many as may be picked.
        tolerance: For selectors that are not greedy: stop when the answer is at most by this share
            larger than a size that is known to be too small; 0 for the very next size.
        seed: Seed of the randomness, where the method has any; the same in every run.
        generator: Randomness to draw from instead of a fresh generator with `seed`.
        given: Integers `[g]`: rows taken already; they don't count in the certificate.
        quotas: From label to the most picks of that label.
        quota_by: Whether the quotas are per `"labels"` or per `"groups"`.
        **options: The method's options; only with a name.

    Returns:
        The coreset. Its weights are those that the certificate is about: the method's own where it
        reports an `error_bound` of the same gradients (`craig`, `kd-tree`), else the weights of the
        rows whose nearest pick each is, within labels where the method has `per_label`. In the
        report: `error_bound`, that is E; `relative_error`; `allowed`, that is ε. Its cost is that
        of all runs.

    Raises:
        ArgumentError: If the error can't be kept, or an argument is wrong.
        UnknownNameError: If there is no such method.
        SignalError: If a signal is missing or holds NaN or infinity.

    Example:
        >>> pool = Pool(features=torch.tensor([[0.0], [0.1], [5.0], [5.1]]), labels=[0, 0, 1, 1])
        >>> len(select_within("k-center", pool, 0.3, relative=False))
        2
    """
    method = _exact(ready_selector(selector, options), pool)
    if not isinstance(error, int | float) or not 0 <= error < math.inf:
        raise ArgumentError(f"error must be a finite number of at least 0, not {error!r}")
    if not 0 <= tolerance < math.inf:
        raise ArgumentError(f"tolerance must be a finite number of at least 0, not {tolerance!r}")
    if generator is None:
        generator = torch.Generator().manual_seed(whole_number("seed", seed))
    rules = {"given": given, "quotas": quotas, "quota_by": quota_by}
    certifier = _Certifier(method, pool, measured)
    runs = _Runs(method, pool, rules, generator, certifier)
    limit = len(pool) if most is None else min(len(pool), whole_number("most", most, least=1))
    scale = certifier.scale if relative else 1.0
    allowed = error * scale
    best = (_prefix if method.greedy else _bisected)(runs, limit, allowed, tolerance)
    bound = best.report["error_bound"]
    if bound > allowed:
        kind = "a relative error" if relative else "an error"
        raise ArgumentError(
            f"error: {kind} of {error} can't be kept: {len(best)} picks, all that are allowed, "
            f"leave {bound / (scale or 1.0):.6g}"
        )
    share = bound / certifier.scale if certifier.scale else 0.0
    report = {**best.report, "relative_error": share, "allowed": float(allowed)}
    return replace(best, cost=runs.cost, report=report)


def _exact(method: Selector, pool: Pool) -> Selector:
    """Return the greedy form of a method that would be exact on this pool anyway."""
    from clcore.selectors._coverage import EXACT

    small = isinstance(pool, Pool) and len(pool) <= EXACT
    if small and getattr(method, "neighbours", None) == "auto":
        return replace(method, neighbours=None)  # type: ignore[call-arg]
    return method


class _Runs:
    """Runs of one selector with the same randomness, and what they cost together."""

    def __init__(
        self,
        method: Selector,
        pool: Pool,
        rules: dict[str, Any],
        generator: torch.Generator,
        certifier: _Certifier,
    ) -> None:
        self.method, self.pool, self.rules, self.certifier = method, pool, rules, certifier
        self.generator, self.start = generator, generator.get_state()
        self.cost = Cost()
        self.made: dict[int, Coreset] = {}

    def picks(self, k: int) -> Coreset:
        """Pick at most `k` rows, without a certificate."""
        self.generator.set_state(self.start)
        coreset = self.method.select(self.pool, k, generator=self.generator, **self.rules)
        self.cost = self.cost + coreset.cost
        return coreset

    def certified(self, k: int) -> Coreset:
        """Pick at most `k` rows, weighted and certified; once for each `k`."""
        if k not in self.made:
            self.made[k] = self.certifier.certify(self.picks(k))
        return self.made[k]


def _prefix(runs: _Runs, limit: int, allowed: float, tolerance: float) -> Coreset:
    """Find the shortest prefix of a greedy selector that keeps the error."""
    k = min(FIRST, limit)
    while True:
        picks = runs.picks(k).indices
        errors = runs.certifier.curve(picks)
        kept = (errors <= allowed).nonzero()
        if len(kept) or len(picks) < k or k == limit:
            break
        k = min(2 * k, limit)
    size = int(kept[0]) + 1 if len(kept) else len(picks)
    # The certificate of the whole is rounded otherwise than that of the prefix.
    while True:
        found = runs.certified(size)
        if found.report["error_bound"] <= allowed or size >= len(picks):
            return found
        size += 1


def _bisected(runs: _Runs, limit: int, allowed: float, tolerance: float) -> Coreset:
    """Find a size that keeps the error where a smaller one does not."""
    low, high = 0, min(FIRST, limit)
    found = runs.certified(high)
    while found.report["error_bound"] > allowed:
        if high == limit or len(found) < high:
            return found
        low, high = high, min(2 * high, limit)
        found = runs.certified(high)
    while high - low > max(1.0, tolerance * low):
        middle = (low + high) // 2
        tried = runs.certified(middle)
        if tried.report["error_bound"] <= allowed:
            high, found = middle, tried
        else:
            low = middle
    return found


class _Certifier:
    """Knows the gradients that an error is measured in."""

    def __init__(self, method: Selector, pool: Pool, measured: str | None) -> None:
        if not isinstance(pool, Pool):
            raise ArgumentError(f"pool must be a clcore.Pool, not {type(pool).__name__}")
        own = getattr(method, "gradients", None)
        kind = measured or (own if own in SIGNALS else "features")
        if kind not in SIGNALS:
            raise ArgumentError(
                f"measured must be 'logits', 'last_layer' or 'features', not {measured!r}"
            )
        for name in SIGNALS[kind]:
            if not pool.has(name):
                raise SignalError(
                    f"the error is measured in {name!r}; this pool has "
                    f"{', '.join(pool.names) or 'none'}"
                )
        self.pool, self.reported = pool, kind == own
        with guard():
            self.points = _points(pool, kind, bool(getattr(method, "bias", True)))
        ones = torch.ones(len(pool), dtype=torch.float64, device=pool.device)
        self.weights = ones if pool.weights is None else pool.weights.double()
        self.labels = pool.labels if getattr(method, "per_label", False) else None

    @property
    def scale(self) -> float:
        """Σ w ‖g‖, of the gradients as they are, not centred."""
        return float(self._lengths @ self.weights)

    @property
    def _lengths(self) -> Tensor:
        if type(self.points) is Points:
            lengths: Tensor = torch.linalg.vector_norm(self.points.matrix, dim=1)
            return lengths
        return torch.sqrt(self.points.squares)

    def certify(self, coreset: Coreset) -> Coreset:
        """Give a coreset the weights and the report of its certificate."""
        if self.reported and "error_bound" in coreset.report:
            return coreset
        if not len(coreset):
            bound = 0.0 if not len(self.pool) else math.inf
            return replace(coreset, report={**coreset.report, "error_bound": bound})
        place, away = self._assigned(coreset.indices)
        weights = cell_weights(place, len(coreset), self.pool.weights)
        bound = float(away @ self.weights)
        return replace(coreset, weights=weights, report={**coreset.report, "error_bound": bound})

    def curve(self, picks: Tensor) -> Tensor:
        """Return the certified error after each of the picks: float64 `[k]`."""
        total = torch.zeros(len(picks), dtype=torch.float64, device=picks.device)
        for rows, mine in self._parts(picks):
            first = int(mine[0]) if len(mine) else len(picks)
            # A label without a pick so far counts with those of the others.
            total[:first] += self._falling(rows, picks[:first])
            if len(mine):
                after = self._falling(rows, picks[mine])
                repeats = torch.diff(mine, append=mine.new_tensor([len(picks)]))
                total[first:] += torch.repeat_interleave(after, repeats)
        return total

    def _parts(self, picks: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return of each label the rows, and the places of its picks; ascending."""
        everything = torch.arange(len(self.pool), device=picks.device)
        if self.labels is None:
            return [(everything, torch.arange(len(picks), device=picks.device))]
        labels, theirs = self.labels, self.labels[picks]
        return [
            ((labels == label).nonzero().squeeze(1), (theirs == label).nonzero().squeeze(1))
            for label in torch.unique(labels).tolist()
        ]

    def _falling(self, rows: Tensor, picks: Tensor) -> Tensor:
        """Return Σ w min ‖g − g_s‖ over some rows after each of some picks: `[m]`."""
        nearest = torch.full((len(rows),), torch.inf, dtype=torch.float64, device=rows.device)
        errors = []
        for part in torch.split(picks, max(1, BLOCK // max(1, len(self.pool)))):
            if not len(part):
                continue
            away = self.points.to_rows(part)[:, rows].sqrt_()
            away[0] = torch.minimum(away[0], nearest)
            away = torch.cummin(away, dim=0).values
            nearest = away[-1]
            errors.append(away @ self.weights[rows])
        return torch.cat(errors) if errors else nearest.new_empty(0)

    def _assigned(self, picks: Tensor) -> tuple[Tensor, Tensor]:
        """Return of each row the place of its nearest pick, and the distance to it."""
        place = torch.zeros(len(self.pool), dtype=torch.int64, device=picks.device)
        away = torch.full((len(self.pool),), torch.inf, dtype=torch.float64, device=picks.device)
        for rows, mine in self._parts(picks):
            if not len(mine):
                mine = torch.arange(len(picks), device=picks.device)
            for part in torch.split(mine, max(1, BLOCK // max(1, len(self.pool)))):
                least, here = self.points.to_rows(picks[part])[:, rows].min(dim=0)
                nearer = least < away[rows]
                place[rows[nearer]], away[rows[nearer]] = part[here[nearer]], least[nearer]
        return place, away.sqrt_()


def _points(pool: Pool, kind: str, bias: bool) -> Points:
    """Return the gradients in double precision: a certificate has to hold to its last digit."""
    first = as_matrix(pool.signal(SIGNALS[kind][0])).double()
    if kind != "last_layer":
        return Points(first)
    from clcore.geometry.factored import FactoredPoints

    return FactoredPoints(first, as_matrix(pool.signal("features")).double(), bias=bias)
