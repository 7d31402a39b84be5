"""CRAIG: weighted picks whose gradients stand for those of all rows of their class.

Source: Mirzasoleiman, Bilmes & Leskovec, "Coresets for data-efficient training of machine learning
models", ICML 2020.

Formula: in each class c of N_c rows, facility location on the distances of gradients,

    S_c = argmax Σ_{x ∈ c} w(x) (C − min_{s ∈ S_c} ‖ g(x) − g(s) ‖),   Σ_c |S_c| = k,

greedily; the weight γ of a pick is the number (weight) of the rows of its class to which it is the
nearest pick. The γ sum to the size (weight) of the pool, and Σ_x w(x) min_s ‖ g(x) − g(s) ‖, which
`report["error_bound"]` gives, bounds ‖ Σ_x w(x) g(x) − Σ_s γ_s g(s) ‖.

Defaults: g is the gradient of the loss with respect to the logits (p − y for cross-entropy), as in
the paper's networks. `gradients="last_layer"` takes the whole last layer, (p − y) ⊗ [h, 1], whose
distances come from the two factors and are never multiplied out; `gradients="features"` takes the
features themselves, as for convex losses in the paper.

Classes get picks in proportion to their size, one after the other by highest averages
(Sainte-Laguë): the total is exactly k, no class is more than about one pick away from its share,
and every prefix is balanced too. A class that got none, which happens where k is less than about
the number of classes, counts with the nearest pick of any class.
Rows in `given` cover their class already, and count with the nearest pick. `per_label=False` is one
problem over all rows. Classes of more than 8,192 rows go over a neighbour graph (see
`facility-location`: `neighbours`, `index`), except for `last_layer`, which is always exact; over
the graph a smaller coreset need not be a prefix.

Differences from reference codes: the authors' class budgets are rounded up, so that more than k are
picked, each class has a dense n_c × n_c matrix of doubles, and their greedy maximises log(1 + ·) of
the gain; DeepCore's weights are 1 + count and so sum to n + k, and without classes it slices its
gains wrongly; CORDS takes squared distances, `metric="squared"` here. None factors the last layer.

Expected numbers: the picks of each class are those of brute-force greedy, and the error of the
weighted gradient is within the bound (tests/clcore/selectors/test_craig.py). 30,000 picks of
300,000 × 54 in one class, over the graph, took 38 s on one core and 1.2 GiB.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from clcore.coreset import Coreset
from clcore.errors import ArgumentError
from clcore.geometry import Points, as_matrix, normalised
from clcore.geometry.coverage import has_plain_points
from clcore.geometry.coverage_graph import Cover
from clcore.geometry.kernels import Metric, check_metric, distance_kernel
from clcore.geometry.neighbours import Index
from clcore.maximiser import Picks
from clcore.maximisers.lazy import Lazy
from clcore.objective import Objective
from clcore.objectives.facility_location import FacilityLocation
from clcore.objectives.kernel_coverage import Distances, cell_weights, largest_distance
from clcore.pool import Pool
from clcore.quotas import Allowance
from clcore.selector import Selector
from clcore.selectors._coverage import Neighbours, assigned, check_neighbours, cover
from clcore.selectors._lengths import lengths_to

Gradients = Literal["logits", "last_layer", "features"]

SIGNALS: dict[str, tuple[str, ...]] = {
    "logits": ("logit_gradients",),
    "last_layer": ("logit_gradients", "features"),
    "features": ("features",),
}
"""What each kind of gradients is read from."""


@dataclass(frozen=True)
class Craig(Selector):
    """Facility location on gradients within each class, weighted by the sizes of the cells.

    Args:
        gradients: `"logits"`, `"last_layer"` or `"features"`.
        metric: `"euclidean"`, `"squared"` or `"cosine"` (not with `last_layer`).
        bias: Whether the last layer has a bias; for `last_layer` alone.
        per_label: Whether each label is a problem of its own.
        neighbours: Size of the neighbour lists, None for exact picks, or `"auto"`.
        index: How neighbours are found: `"flat"`, `"ivf"`, `"hnsw"` or `"auto"`.
    """

    gradients: Gradients = "logits"
    metric: Metric = "euclidean"
    bias: bool = True
    per_label: bool = True
    neighbours: Neighbours = "auto"
    index: Index = "auto"

    signals: ClassVar[tuple[str, ...]] = SIGNALS["logits"]
    greedy: ClassVar[bool] = True
    weighted: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.gradients not in get_args(Gradients):
            raise ArgumentError(
                f"gradients must be 'logits', 'last_layer' or 'features', not {self.gradients!r}"
            )
        check_metric(self.metric)
        if self.metric == "cosine" and self.gradients == "last_layer":
            raise ArgumentError("metric 'cosine' is not for gradients='last_layer'")
        check_neighbours(self.neighbours, self.index)
        object.__setattr__(self, "signals", SIGNALS[self.gradients])
        if self.neighbours is not None and self.gradients != "last_layer":
            # A sample may serve a small k, so the picks for it need not begin those for a larger.
            object.__setattr__(self, "greedy", False)

    def neighbours_of(self, objective: FacilityLocation) -> Neighbours:
        """Return the neighbour lists to be used; none where distances come from factors."""
        return self.neighbours if has_plain_points(objective) else None

    def objective(self, pool: Pool) -> FacilityLocation:
        """Make the set function for the rows of one class, or for all."""
        return GradientLocation(pool, self.gradients, self.metric, self.bias)

    def _select(
        self,
        pool: Pool,
        k: int,
        *,
        given: Tensor,
        allowance: Allowance,
        generator: torch.Generator,
    ) -> Coreset:
        is_given = torch.zeros(len(pool), dtype=torch.bool, device=pool.device)
        is_given[given] = True
        classes = [_Class(self, pool, rows, is_given) for rows in self._parts(pool)]
        sizes = [one.size for one in classes]
        if len(classes) > 1 and _across(allowance, pool):
            turns = highest_averages(sizes, k, lambda c: classes[c].pick(allowance))
        else:
            room = [allowance.capacity(one.rows) for one in classes]
            turns = highest_averages(sizes, k, lambda c: _use(room, c))
            for c, one in enumerate(classes):
                one.pick_all(turns.count(c), allowance, generator)
        return self._coreset(pool, classes, turns)

    def _parts(self, pool: Pool) -> list[Tensor]:
        if not self.per_label:
            return [torch.arange(len(pool), device=pool.device)]
        if pool.labels is None:
            raise ArgumentError("craig needs a pool with labels, or per_label=False")
        return [
            (pool.labels == label).nonzero().squeeze(1)
            for label in torch.unique(pool.labels).tolist()
        ]

    def _coreset(self, pool: Pool, classes: Sequence[_Class], turns: list[int]) -> Coreset:
        """Put the picks of the classes in turn, and give each row to a pick."""
        device = pool.device
        turn = torch.tensor(turns, dtype=torch.int64, device=device)
        picks = torch.empty(len(turns), dtype=torch.int64, device=device)
        gains = torch.empty(len(turns), dtype=torch.float64, device=device)
        place = torch.full((len(pool),), -1, dtype=torch.int64, device=device)
        for c, one in enumerate(classes):
            seats = (turn == c).nonzero().squeeze(1)
            if len(seats):
                picks[seats] = one.rows[torch.tensor(one.found.picks.rows, device=device)]
                gains[seats] = torch.tensor(one.found.picks.gains, device=device).double()
                place[one.rows] = seats[assigned(one.objective, one.found)[1]]
        evaluations = sum(one.objective.evaluations for one in classes if one.count)
        left = (place < 0).nonzero().squeeze(1)
        if len(left):
            whole = self.objective(pool)
            place[left] = whole.points.nearest(picks)[1][left]
            evaluations += whole.points.evaluations
        report = {"value": sum(one.objective.value() for one in classes if one.count)}
        if self.metric != "cosine" and len(picks):
            named = SIGNALS[self.gradients]
            first = as_matrix(pool.signal(named[0]))
            second = as_matrix(pool.signal(named[1])) if len(named) > 1 else None
            lengths = lengths_to(first, second, picks[place], bias=self.bias)
            weighed = lengths if pool.weights is None else lengths * pool.weights
            report["error_bound"] = float(weighed.sum())
        return Coreset.of(
            picks,
            weights=cell_weights(place, len(picks), pool.weights),
            gains=gains,
            distance_evaluations=evaluations,
            report=report,
        )


class GradientLocation(FacilityLocation):
    """Facility location on the distances of gradients.

    Args:
        pool: The rows to be covered, and to pick from.
        gradients: `"logits"`, `"last_layer"` or `"features"`.
        metric: `"euclidean"`, `"squared"` or `"cosine"`.
        bias: Whether the last layer has a bias.
    """

    def __init__(self, pool: Pool, gradients: Gradients, metric: Metric, bias: bool) -> None:
        Objective.__init__(self, pool, gradients=gradients, metric=metric, bias=bias)
        points = self._make_points(pool, normalise=metric == "cosine")
        self._prepare(points, distance_kernel(metric, largest_distance(points)))

    def _make_points(self, pool: Pool, normalise: bool) -> Distances:
        kind = self.options["gradients"]
        first = as_matrix(pool.signal(SIGNALS[kind][0]))
        if kind != "last_layer":
            return Points(normalised(first) if normalise else first)
        from clcore.geometry.factored import FactoredPoints

        second = as_matrix(pool.signal("features"))
        common = torch.promote_types(first.dtype, second.dtype)
        return FactoredPoints(first.to(common), second.to(common), bias=self.options["bias"])


class _Class:
    """The rows of one class and the picks made among them."""

    def __init__(self, method: Craig, pool: Pool, rows: Tensor, is_given: Tensor) -> None:
        self.method, self.pool, self.rows, self.count = method, pool, rows, 0
        self.given = is_given[rows].nonzero().squeeze(1)
        weights = pool.weights
        self.size = float(len(rows)) if weights is None else float(weights[rows].double().sum())
        self.found = Cover(Picks())

    @cached_property
    def objective(self) -> FacilityLocation:
        """The set function of the class; made when the class gets its first pick."""
        whole = len(self.rows) == len(self.pool)
        made = self.method.objective(self.pool if whole else self.pool.subset(self.rows))
        made.start(self.given)
        return made

    def pick_all(self, k: int, allowance: Allowance, generator: torch.Generator) -> None:
        """Pick `k` rows of the class that are open; where quotas hold, they are per class."""
        self.count = k
        if k == 0:
            return
        keys = None if allowance.keys is None else allowance.keys[self.rows]
        inner = allowance
        if len(self.rows) < len(self.pool) or keys is None:
            closed = (~allowance.open[self.rows]).nonzero().squeeze(1)
            inner = Allowance(len(self.rows), self.rows.device, given=closed)
        self.found = cover(
            self.objective,
            k,
            allowance=inner,
            generator=generator,
            maximiser=Lazy(),
            neighbours=self.method.neighbours_of(self.objective),
            index=self.method.index,
        )

    def pick(self, allowance: Allowance) -> bool:
        """Pick the best row that is open now, and record it; say whether there was one."""
        penalty = allowance.penalty[self.rows].double()
        if not bool((penalty == 0).any()):
            return False
        while True:
            bounds = self._bounds + penalty
            row = int(bounds.argmax())
            if self._fresh[row]:
                break
            foremost = bounds.topk(min(16, len(bounds))).indices
            # argmax and topk may differ in which of several that are equal they take.
            stale = torch.cat([foremost[foremost != row], foremost.new_tensor([row])])
            self._bounds[stale] = self.objective.gains(stale)
            self._fresh[stale] = True
        self.count += 1
        self.found.picks.append(row, float(bounds[row]))
        self.objective.add(self.rows.new_tensor([row]))
        self._fresh.fill_(False)
        allowance.take(int(self.rows[row]))
        return True

    @cached_property
    def _bounds(self) -> Tensor:
        """What each row of the class adds at most."""
        return self.objective.gains(torch.arange(len(self.rows), device=self.rows.device))

    @cached_property
    def _fresh(self) -> Tensor:
        """Whether the bound of a row is what it adds now."""
        return torch.ones(len(self.rows), dtype=torch.bool, device=self.rows.device)


def highest_averages(sizes: Sequence[float], k: int, serve: Callable[[int], bool]) -> list[int]:
    """Give out `k` picks in proportion to sizes, one at a time (Sainte-Laguë).

    Each goes to the party with the largest size / (2 · picks so far + 1), the first of those that
    are equal; so what `k` gives is a prefix of what a larger `k` gives.

    Args:
        sizes: Of the parties, none negative.
        k: How many picks.
        serve: Called with the party that is due; says whether it can take the pick. One that
            can't is out.

    Returns:
        The parties in turn: `k` of them, or fewer where all are out.

    Example:
        >>> highest_averages([6.0, 3.0], 3, lambda party: True)
        [0, 1, 0]
    """
    due = [(-size, party, 0) for party, size in enumerate(sizes)]
    heapq.heapify(due)
    turns: list[int] = []
    while due and len(turns) < k:
        _, party, count = heapq.heappop(due)
        if serve(party):
            turns.append(party)
            heapq.heappush(due, (-sizes[party] / (2 * count + 3), party, count + 1))
    return turns


def _use(room: list[int], party: int) -> bool:
    """Take one from the room of a party, if there is any."""
    room[party] -= 1
    return room[party] >= 0


def _across(allowance: Allowance, pool: Pool) -> bool:
    """Say whether quotas bind rows of different classes together."""
    keys = allowance.keys
    return keys is not None and (pool.labels is None or not torch.equal(keys, pool.labels))
