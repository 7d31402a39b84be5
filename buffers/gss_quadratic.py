"""GSS-IQP: the k candidates whose gradients point furthest apart, by a quadratic program.

Source: Aljundi et al. 2019, section 3.3: minimise xᵀ G x over x ∈ {0, 1}ⁿ with 1ᵀ x = k, where G
are the cosines of the candidates' gradients.

Formula: the relaxation 0 ≤ x ≤ 1 is convex (G is a Gram matrix) and is solved by OSQP; the k
largest entries are rounded up and then improved by the best swap of one inside for one outside,
until none improves. A swap of i for j changes the objective by 2 (s_j - s_i - G_ij) + G_ii + G_jj,
s = G x, so all are looked at with one matrix of k × (n - k).

Exact answers come from branch and bound. At any point y of the relaxation the tangent plane bounds
the objective from below, f(x) ≥ f(y) + ∇f(y)·(x - y), and the least of it over what is allowed is a
sum of the smallest entries of ∇f(y): a valid bound however rough the solver's y is. For x binary
Σ x_i² = k, so the smallest eigenvalue is first taken off G's diagonal, which makes the bound
tighter and changes no order.

Differences from reference codes: the authors use miosqp, which has no release that still installs,
and stop its branch and bound after 1,000 nodes. Run from its sources with OSQP 0.6 on six programs
of one of our runs (300 of 400), it kept 297 to 300 rows; choosing as many, the relaxation with
swaps made the same choice once and had a lower objective five times, by 0.2 to 1.2 %. They fall
back to *all* candidates where a program is found infeasible (it can't be: k ≤ n).
"""

from __future__ import annotations

import logging
import warnings
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_log = logging.getLogger(__name__)
_Vector = NDArray[np.float64]
_Matrix = NDArray[np.float64]

FEW = 24
"""Candidates up to which `exact="auto"` is exact."""

SLOW = 60
"""Candidates beyond which an exact answer may take minutes, which is said once."""

_told: set[str] = set()


def most_diverse(cosine: Tensor, k: int, *, exact: bool | Literal["auto"] = "auto") -> Tensor:
    """Choose the k candidates that minimise the sum of their cosines.

    Args:
        cosine: `[n, n]`, symmetric and positive semidefinite.
        k: How many, at most n.
        exact: True: the minimum, by branch and bound; False: the relaxation, rounded and improved
            by swaps; `"auto"`: exact up to 24 candidates.

    Returns:
        `[k]` int64, ascending.

    Warns:
        RuntimeWarning: The relaxation was not solved to its tolerance (the residual is given; the
            answer is the best found from there).
    """
    n = len(cosine)
    if k >= n:
        return torch.arange(n)
    gram = cosine.double().cpu().numpy()
    gram = (gram + gram.T) / 2
    everything = np.arange(n)
    relaxed = _Relaxation(gram).solve(np.zeros(n), np.ones(n), k)
    chosen = _swapped(gram, np.sort(np.argsort(-relaxed, kind="stable")[:k]))
    if exact is True or (exact == "auto" and n <= FEW):
        if n > SLOW and "slow" not in _told:
            _told.add("slow")
            _log.warning(
                "GSS-IQP: an exact choice of %d of %d gradients may take very long; exact=False "
                "takes the relaxation.",
                k,
                n,
            )
        chosen = _Search(gram, k, chosen).run()
    return torch.from_numpy(everything[np.sort(chosen)])


class _Relaxation:
    """xᵀ G x over 0 ≤ x ≤ 1 with a given sum, for several bounds on x.

    Solved for the difference from even shares, u = x − k / n: the solver starts from zero, and from
    there it takes a tenth of the steps, and does not get lost where k is close to n.
    """

    def __init__(self, gram: _Matrix) -> None:
        import osqp
        from scipy import sparse

        n = len(gram)
        # A little more on the diagonal: rounding may leave the cosines slightly indefinite.
        self.shifted = shifted = 2 * (gram + 1e-6 * np.eye(n))
        rows = sparse.vstack([np.ones((1, n)), sparse.identity(n)], format="csc")
        self.solver: Any = osqp.OSQP()
        self.solver.setup(
            sparse.csc_matrix(np.triu(shifted)),
            np.zeros(n),
            rows,
            np.zeros(n + 1),
            np.ones(n + 1),
            verbose=False,
            eps_abs=1e-4,
            eps_rel=1e-4,
            max_iter=4000,
        )

    def solve(self, lower: _Vector, upper: _Vector, k: int) -> _Vector:
        """Return x, inside its bounds."""
        even = k / len(lower)
        self.solver.update(
            q=self.shifted.sum(1) * even,
            l=np.concatenate(([0.0], lower - even)),
            u=np.concatenate(([0.0], upper - even)),
        )
        found = self.solver.solve(raise_error=False)
        x = np.asarray(found.x, dtype=np.float64) + even
        if found.info.status != "solved":
            warnings.warn(
                f"GSS-IQP: the relaxed quadratic program ended as {found.info.status!r} with "
                f"residuals {found.info.prim_res:.1e} and {found.info.dual_res:.1e}; the best "
                "found is used",
                RuntimeWarning,
                stacklevel=4,
            )
        if not np.isfinite(x).all():
            x = np.full(len(lower), k / len(lower))
        return np.clip(x, lower, upper)


def _swapped(gram: _Matrix, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """Improve a choice by the best swaps of one for one, until there is none."""
    inside = np.zeros(len(gram), dtype=bool)
    inside[chosen] = True
    diagonal = np.diagonal(gram)
    sums = gram[:, inside].sum(1)
    while True:
        ours, others = np.flatnonzero(inside), np.flatnonzero(~inside)
        leave = diagonal[ours] - 2 * sums[ours]
        enter = diagonal[others] + 2 * sums[others]
        change = leave[:, None] + enter[None, :] - 2 * gram[np.ix_(ours, others)]
        best = int(change.argmin())
        if change.flat[best] >= -1e-9:
            return ours
        i, j = ours[best // len(others)], others[best % len(others)]
        inside[i], inside[j] = False, True
        sums += gram[:, j] - gram[:, i]


class _Search:
    """Branch and bound, depth first, the half that the relaxation prefers first."""

    def __init__(self, gram: _Matrix, k: int, start: NDArray[np.int64]) -> None:
        n = len(gram)
        least = float(np.linalg.eigvalsh(gram)[0])
        self.gram, self.k = gram - least * np.eye(n), k
        self.relaxation = _Relaxation(self.gram)
        self.best, self.value = start, self._value(start)

    def _value(self, chosen: NDArray[np.int64]) -> float:
        return float(self.gram[np.ix_(chosen, chosen)].sum())

    def run(self) -> NDArray[np.int64]:
        """Return the best choice."""
        n = len(self.gram)
        waiting = [(np.zeros(n), np.ones(n))]
        while waiting:
            lower, upper = waiting.pop()
            free = np.flatnonzero(lower < upper)
            left = self.k - int(lower.sum())
            if left < 0 or left > len(free):
                continue
            if left in (0, len(free)):
                self._try(np.flatnonzero(lower if left == 0 else upper))
                continue
            x = self.relaxation.solve(lower, upper, self.k)
            if self._bound(x, lower, free, left) >= self.value - 1e-9:
                continue
            order = free[np.argsort(-x[free], kind="stable")]
            self._try(np.concatenate((np.flatnonzero(lower), order[:left])))
            pivot = free[np.abs(x[free] - 0.5).argmin()]
            out, into = upper.copy(), lower.copy()
            out[pivot], into[pivot] = 0.0, 1.0
            halves = [(lower, out), (into, upper)]
            waiting.extend(halves if x[pivot] >= 0.5 else halves[::-1])
        return np.sort(self.best)

    def _bound(self, y: _Vector, lower: _Vector, free: NDArray[np.int64], left: int) -> float:
        """No choice within these bounds has a smaller value."""
        slope = 2 * (self.gram @ y)
        least = slope[lower == 1].sum() + np.partition(slope[free], left - 1)[:left].sum()
        return float(least - slope @ y / 2)

    def _try(self, chosen: NDArray[np.int64]) -> None:
        value = self._value(chosen)
        if value < self.value - 1e-12:
            self.best, self.value = chosen, value
