"""Kernel coverage against sums written out, with every kernel."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clcore import ArgumentError, Pool
from clcore.geometry.coverage import exact_coverage
from clcore.objectives.facility_location import FacilityLocation
from clcore.objectives.kernel_coverage import KernelCoverage
from clcore.quotas import Allowance

KAPPAS = {
    "rbf": lambda d, s: (-(d**2) / s**2).exp(),
    "laplace": lambda d, s: (-d / s).exp(),
    "student-t": lambda d, s: 1 / (1 + d**2 / s**2),
    "top-hat": lambda d, s: (d <= s).double(),
}


def make(n=40, d=3, seed=0, weights=True):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    w = torch.rand(n, generator=generator, dtype=torch.float64) + 0.1 if weights else None
    return Pool(features=x, weights=w)


def greedy(similar, weights, k, taken=()):
    """Plain greedy on a matrix of similarities `[candidates, rows]`."""
    best = similar[list(taken)].max(dim=0).values if taken else torch.zeros(similar.shape[1])
    picks = []
    for _ in range(k):
        gains = (similar - best).clamp_min(0) @ weights
        gains[[*taken, *picks]] = -1
        picks.append(int(gains.argmax()))
        best = torch.maximum(best, similar[picks[-1]])
    return picks


@pytest.mark.parametrize("kernel", KAPPAS)
@pytest.mark.parametrize("normalise", [False, True])
def test_value_and_gains_are_the_sums(kernel, normalise):
    pool = make()
    x = pool.signal("features")
    x = x / x.norm(dim=1, keepdim=True) if normalise else x
    similar = KAPPAS[kernel](torch.cdist(x, x), 0.8)
    objective = KernelCoverage(pool, kernel, 0.8, normalise)
    assert objective.value() == 0
    held = torch.tensor([3, 17])
    objective.add(held)
    best = similar[held].max(dim=0).values
    assert objective.value() == pytest.approx(float(best @ pool.weights))
    expected = (similar - best).clamp_min(0) @ pool.weights
    torch.testing.assert_close(objective.gains(torch.arange(40)), expected, atol=1e-6, rtol=1e-6)
    assert objective.ceiling() == pytest.approx(float(pool.weights.sum()))


@pytest.mark.parametrize("kernel", ["rbf", "laplace", "student-t"])
@pytest.mark.parametrize("taken", [(), (5, 9)])
def test_compiled_greedy_is_brute_force_greedy(kernel, taken):
    pool = make(seed=1)
    x = pool.signal("features")
    similar = KAPPAS[kernel](torch.cdist(x, x), 0.7)
    objective = KernelCoverage(pool, kernel, 0.7)
    objective.start(torch.tensor(taken, dtype=torch.int64))
    allowance = Allowance(40, x.device, given=torch.tensor(taken, dtype=torch.int64))
    found = exact_coverage(objective, 12, allowance=allowance)
    assert found.rows == greedy(similar, pool.weights, 12, taken)
    assert sum(found.gains) == pytest.approx(
        objective.value() - objective.evaluate(list(taken)), rel=1e-6
    )


@pytest.mark.parametrize("make_objective", [KernelCoverage, FacilityLocation])
def test_greedy_keeps_its_guarantee(make_objective):
    for seed in range(5):
        pool = make(n=9, seed=seed)
        objective = make_objective(pool)
        allowance = Allowance(9, torch.device("cpu"))
        found = exact_coverage(objective, 3, allowance=allowance)
        best = max(objective.evaluate(rows) for rows in itertools.combinations(range(9), 3))
        assert objective.evaluate(found.rows) >= (1 - 1 / 2.718281828) * best


@settings(derandomize=True, deadline=None, max_examples=30)
@given(data=st.data())
def test_monotone_and_submodular(data):
    kernel = data.draw(st.sampled_from(sorted(KAPPAS)))
    objective = KernelCoverage(make(n=8, seed=data.draw(st.integers(0, 50))), kernel, 0.9)
    small = data.draw(st.sets(st.integers(0, 7), max_size=3))
    large = small | data.draw(st.sets(st.integers(0, 7), max_size=3))
    row = data.draw(st.integers(0, 7))
    gains = [
        objective.evaluate(sorted(rows | {row})) - objective.evaluate(sorted(rows))
        for rows in (small, large)
    ]
    assert gains[0] >= gains[1] - 1e-9
    assert gains[1] >= -1e-9


def test_a_tie_break_orders_equal_coverage_by_distance():
    x = torch.tensor([[0.0], [1.0], [1.2], [10.0], [10.1], [10.3]])
    objective = KernelCoverage(Pool(features=x), "top-hat", 1.5, tiebreak=1 / 7)
    gains = objective.gains(torch.arange(6))
    assert int(gains.argmax()) == 4
    assert bool(((gains >= 3) & (gains < 4)).all())


def test_wrong_options_are_named():
    pool = make()
    for options, word in (
        ({"kernel": "box"}, "kernel"),
        ({"bandwidth": 0}, "bandwidth"),
        ({"bandwidth": float("nan")}, "bandwidth"),
        ({"normalise": 1}, "normalise"),
        ({"tiebreak": 0.1}, "tiebreak"),
        ({"kernel": "top-hat", "tiebreak": -1.0}, "tiebreak"),
    ):
        with pytest.raises(ArgumentError, match=word):
            KernelCoverage(pool, **options)
