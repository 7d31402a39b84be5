"""Leverage sampling, and the errors of coresets' gradients against their certified bound."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clcore import Coreset, select
from clcore.errors import ArgumentError
from strategies.offline.convex import (
    LogisticRegression,
    RidgeRegression,
    feature_bound,
    gradient_error,
    leverage_sample,
)
from strategies.offline.convex.leverage import inclusion, leverages


@given(
    masses=st.lists(st.floats(0.01, 1e4), min_size=1, max_size=30),
    share=st.floats(0.0, 1.0),
)
@settings(max_examples=60, deadline=None)
def test_chances_sum_to_k_and_keep_their_ratios(masses, share):
    k = max(1, round(share * len(masses)))
    column = torch.tensor(masses, dtype=torch.float64)
    chances = inclusion(column, k)
    assert float(chances.sum()) == pytest.approx(k)
    assert float(chances.max()) <= 1 + 1e-12
    free = chances < 1 - 1e-12
    if free.sum() > 1:
        ratios = chances[free] / column[free]
        torch.testing.assert_close(ratios, ratios[0].expand_as(ratios))
    if free.any() and not free.all():
        assert column[free].max() <= column[~free].min()


def test_picks_are_as_many_as_asked_and_weigh_as_much_as_all_rows(make):
    problem = make("binary", n=997)
    for k in (1, 10, 500, 997):
        coreset = leverage_sample(problem, k, seed=k)
        assert len(coreset) == len(set(coreset.indices.tolist())) == k
        assert float(coreset.weights.sum()) == pytest.approx(997)
    assert coreset.weights.tolist() == pytest.approx([1.0] * 997)


def test_sums_are_estimated_without_bias():
    generator = torch.Generator().manual_seed(0)
    x = torch.cat(
        [torch.randn(500, 2, generator=generator), (torch.arange(500) % 50 == 0).float()[:, None]],
        1,
    )
    problem = RidgeRegression(x, torch.zeros(500))
    values = torch.randn(500, generator=generator).double()
    found, rare = [], []
    for seed in range(400):
        coreset = leverage_sample(problem, 50, seed=seed)
        found.append(float(coreset.weights @ values[coreset.indices]))
        rare.append(int(x[coreset.indices, 2].sum()))
    mean, deviation = torch.tensor(found).mean(), torch.tensor(found).std()
    assert abs(mean - values.sum()) < 4 * deviation / 400**0.5
    # A uniform draw would have one of the ten rare rows; these have leverage 50 of a mean of 4.
    assert sum(rare) / len(rare) > 4


def test_leverages_of_indicators_are_exact():
    x = torch.eye(3)[torch.tensor([0, 0, 0, 1, 1, 2])].double()
    problem = RidgeRegression(x, torch.zeros(6), bias=False)
    exact = torch.linalg.pinv(x.T @ x / 6)
    torch.testing.assert_close(leverages(problem), ((x @ exact) * x).sum(1))
    zeros = RidgeRegression(torch.zeros(4, 2), torch.zeros(4))
    assert leverages(zeros).tolist() == [1.0] * 4


def test_weights_of_the_problem_raise_the_chance():
    weights = torch.ones(100)
    weights[:10] = 50.0
    problem = RidgeRegression(torch.ones(100, 1), torch.zeros(100), weights=weights)
    coreset = leverage_sample(problem, 20)
    assert (coreset.indices < 10).sum() == 10
    assert float(coreset.weights.sum()) == pytest.approx(100)
    # What the ten weigh together: 500 of 590.
    heavy = float(coreset.weights[coreset.indices < 10].sum())
    assert heavy == pytest.approx(100 * 500 / 590, rel=0.05)


def test_same_seed_same_picks(make):
    problem = make("ridge", n=300)
    first, again, other = (leverage_sample(problem, 30, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.indices, again.indices)
    assert not torch.equal(first.indices, other.indices)


def test_wrong_arguments_are_refused(make):
    problem = make("binary")
    with pytest.raises(ArgumentError, match="k must be at most the 60 rows, not 61"):
        leverage_sample(problem, 61)
    with pytest.raises(ArgumentError, match="uniform must be above 0 and at most 1, not 0"):
        leverage_sample(problem, 6, uniform=0)
    with pytest.raises(ArgumentError, match="k must be a whole number of at least 1"):
        leverage_sample(problem, 0)
    with pytest.raises(ArgumentError, match="with two classes"):
        feature_bound(make("softmax"), Coreset.of([0]), make("softmax").zeros())
    with pytest.raises(ArgumentError, match="coreset has no error_bound in its report"):
        feature_bound(problem, Coreset.of([0]), problem.zeros())


def test_error_by_hand():
    # At w = 0 the residuals are ∓1/2, so the gradients of the rows are ∓(x, 1) / 2.
    problem = LogisticRegression(torch.tensor([[2.0], [4.0], [1.0]]), [1, 1, 0])
    exact = gradient_error(problem, Coreset.of([0, 1, 2]), problem.zeros())
    assert exact.absolute == pytest.approx(0, abs=1e-6)
    error = gradient_error(problem, Coreset.of([0, 2], weights=[2.0, 1.0]), problem.zeros())
    assert error.absolute == pytest.approx(1.0)
    total = (5**0.5 + 17**0.5 + 2**0.5) / 2
    assert error.relative == pytest.approx(1.0 / total)
    light = gradient_error(problem, Coreset.of([0, 1, 2], weights=[0.5] * 3), problem.zeros())
    assert light.absolute == pytest.approx(0.5 * (2.5**2 + 0.5**2) ** 0.5)


@pytest.mark.parametrize("method", ["craig", "kd-tree"])
@pytest.mark.parametrize("scale", [0.0, 0.5, 3.0])
def test_error_stays_within_the_certified_bound(method, scale, make):
    problem = make("binary", n=300)
    coreset = select(method, problem.pool(), 30, gradients="features")
    w = scale * torch.randn(5, generator=torch.Generator().manual_seed(1)).double()
    error = gradient_error(problem, coreset, w)
    bound = feature_bound(problem, coreset, w)
    assert 0 < error.absolute <= bound
    drawn = torch.randperm(300, generator=torch.Generator().manual_seed(2))[:30]
    random = gradient_error(problem, Coreset.of(drawn, weights=[10.0] * 30), w)
    assert error.absolute < random.absolute


def test_bound_is_reached_where_rows_lie_apart_along_w():
    """At w = 0 the bound is 1/2 Σ distances at best: the factor 1 is not exceeded, nor idle."""
    problem = LogisticRegression(torch.tensor([[1.0], [2.0], [-5.0]]), [1, 1, 0], bias=False)
    coreset = select("kd-tree", problem.pool(), 2, gradients="features")
    error = gradient_error(problem, coreset, problem.zeros())
    assert error.absolute == pytest.approx(0.5)
    assert feature_bound(problem, coreset, problem.zeros()) == pytest.approx(1.0)
