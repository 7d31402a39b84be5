"""Picks within a budget against all subsets that the budget allows."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clcore import ArgumentError, Pool, SignalError, select
from clcore.maximisers import create
from clcore.maximisers.knapsack import Knapsack
from clcore.objectives import create as function_of


@settings(derandomize=True, deadline=None, max_examples=40)
@given(data=st.data())
def test_feasible_and_at_least_the_guarantee(data):
    seed = data.draw(st.integers(0, 9999))
    generator = torch.Generator().manual_seed(seed)
    rows = data.draw(st.integers(1, 8))
    costs = torch.rand(rows, generator=generator, dtype=torch.float64) ** 3 + 0.01
    features = torch.randn(rows, 3, generator=generator, dtype=torch.float64)
    budget = data.draw(st.floats(0.02, 2.0))
    objective = function_of("facility-location", pool=Pool(features=features, costs=costs))
    best = max(
        objective.evaluate(chosen)
        for k in range(rows + 1)
        for chosen in itertools.combinations(range(rows), k)
        if sum(costs[list(chosen)].tolist()) <= budget
    )
    picks = Knapsack(budget=budget).maximise(objective, rows)
    assert len(set(picks.rows)) == len(picks)
    assert sum(costs[picks.rows].tolist()) <= budget * (1 + 1e-12)
    assert objective.value() >= (1 - 1 / math.e) / 2 * best - 1e-12
    assert objective.value() == pytest.approx(sum(picks.gains), abs=1e-9)


def scored(gains, costs):
    """Make a pool whose rows have gains of their own: one feature each, capped nowhere."""
    features = torch.diag(torch.tensor(gains, dtype=torch.float64))
    pool = Pool(features=features, costs=torch.tensor(costs))
    return function_of("feature-based", pool=pool, concave="min", saturation=1.0)


def test_the_better_of_the_two_runs_is_kept():
    # By gain per cost the crumb is first and then the loaf no longer fits.
    crumb_first = scored([1.0, 10.0], [0.05, 1.0])
    assert Knapsack(budget=1.0).maximise(crumb_first, 2).rows == [1]
    # By gain the large row is first, and the many small ones that are worth more are lost.
    many = scored([3.0, 2.0, 2.0, 2.0], [3.0, 1.0, 1.0, 1.0])
    assert sorted(Knapsack(budget=3.0).maximise(many, 4).rows) == [1, 2, 3]


def test_k_bounds_the_number_and_nothing_may_fit():
    assert len(Knapsack(budget=100.0).maximise(scored([1.0] * 5, [1.0] * 5), 2)) == 2
    assert Knapsack(budget=0.5).maximise(scored([1.0] * 5, [1.0] * 5), 5).rows == []


def test_as_a_selector_with_quotas_and_rows_given():
    generator = torch.Generator().manual_seed(0)
    pool = Pool(
        features=torch.randn(30, 3, generator=generator),
        price=torch.rand(30, generator=generator) + 0.1,
        labels=[0, 1] * 15,
    )
    maximiser = Knapsack(budget=3.0, costs="price")
    picks = select("greedy", pool, 20, maximiser=maximiser, given=[0, 1], quotas={0: 2})
    assert 0 < len(picks) < 20
    assert float(pool.signal("price")[picks.indices].sum()) <= 3.0 + 1e-6
    assert int((pool.labels[picks.indices] == 0).sum()) <= 2
    assert not {0, 1} & set(picks.indices.tolist())


@pytest.mark.parametrize("budget", [None, 0, -1.0, float("nan"), float("inf")])
def test_wrong_budget(budget):
    with pytest.raises(ArgumentError, match="budget"):
        create("knapsack", budget=budget)


@pytest.mark.parametrize(
    ("costs", "said"),
    [
        (None, "knapsack needs the signal 'costs', one positive cost a row; this pool has feat"),
        ([1.0, 0.0, 2.0], "'costs' must be above 0: row 1 holds 0.0"),
        ([1.0, 3.0, -2.0], "'costs' must be above 0: row 2 holds -2.0"),
        ([[1.0], [1.0], [1.0]], "one cost a row, not shape"),
    ],
)
def test_wrong_costs(costs, said):
    signals = {} if costs is None else {"costs": torch.tensor(costs)}
    pool = Pool(features=torch.eye(3), **signals)
    with pytest.raises(SignalError, match=said):
        select("greedy", pool, 2, maximiser=Knapsack(budget=1.0))
