"""Gradient matching against non-negative least squares on the multiplied-out gradients."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from clcore import ArgumentError, Pool, SignalError
from clcore.maximisers import create as maximiser
from clcore.objectives import create, get
from clcore.objectives.gradient_matching import GradientMatching


def gradient_pool(n=24, classes=3, d=4, seed=0, kind=torch.float64, **columns):
    generator = torch.Generator().manual_seed(seed)
    errors = torch.randn(n, classes, generator=generator, dtype=torch.float64)
    features = torch.randn(n, d, generator=generator, dtype=torch.float64)
    return Pool(logit_gradients=errors.to(kind), features=features.to(kind), **columns)


def multiplied(pool, bias=True):
    errors, features = pool.signal("logit_gradients").double(), pool.signal("features").double()
    if bias:
        features = torch.cat([features, torch.ones(len(pool), 1, dtype=torch.float64)], dim=1)
    return torch.einsum("nc,nd->ncd", errors, features).reshape(len(pool), -1).numpy()


def reference(rows, gradients, target, ridge):
    """Value and weights of a set by SciPy's solver."""
    if not rows:
        return 0.0, np.zeros(0)
    padded = np.vstack([gradients[rows].T, np.sqrt(ridge) * np.eye(len(rows))])
    weights, length = nnls(padded, np.concatenate([target, np.zeros(len(rows))]))
    return float(target @ target - length**2), weights


@settings(derandomize=True, deadline=None, max_examples=25)
@given(
    st.integers(0, 99), st.sampled_from([0.0, 0.5, 20.0]), st.booleans(), st.booleans(),
    st.integers(1, 3),
)  # fmt: skip
def test_values_gains_weights_and_correlations(seed, ridge, weighted, bias, classes):
    generator = torch.Generator().manual_seed(seed)
    counts = torch.rand(24, generator=generator, dtype=torch.float64) if weighted else None
    pool = gradient_pool(classes=classes, seed=seed, weights=counts)
    function = create("gradient-matching", pool=pool, ridge=ridge, bias=bias)
    gradients = multiplied(pool, bias)
    target = gradients.T @ (np.ones(24) if counts is None else counts.numpy())
    rows = torch.randperm(24, generator=generator)[:9].tolist()
    every = torch.arange(24)
    for count in range(len(rows) + 1):
        chosen = rows[:count]
        value, weights = reference(chosen, gradients, target, ridge)
        assert function.value() == pytest.approx(value, rel=1e-8, abs=1e-8)
        correlations = gradients @ (target - gradients[chosen].T @ weights)
        assert np.allclose(function.correlations().numpy(), correlations, atol=1e-7)
        left = np.linalg.norm(target - gradients[chosen].T @ weights)
        assert function.residual() == pytest.approx(left / np.linalg.norm(target), abs=1e-6)
        gains = function.gains(every).tolist()
        for row in range(24):
            more = reference([*chosen, row], gradients, target, ridge)[0] - value
            assert gains[row] == pytest.approx(0 if row in chosen else more, rel=1e-7, abs=1e-7)
        if chosen:
            fitted = function.fitted(torch.tensor(chosen)).numpy()
            rebuilt = gradients[chosen].T @ fitted
            assert np.allclose(rebuilt, gradients[chosen].T @ weights, atol=1e-7)
        if count < len(rows):
            function.add(torch.tensor([rows[count]]))
    assert function.evaluate(rows) == pytest.approx(value, rel=1e-8)


def test_weights_sum_to_the_pool_and_keep_their_proportions():
    pool = gradient_pool(weights=torch.linspace(0.5, 2, 24))
    function = GradientMatching(pool)
    picks = torch.tensor([3, 20, 7])
    function.add(picks)
    weights, fitted = function.weights(picks), function.fitted(picks)
    assert float(weights.sum()) == pytest.approx(float(pool.weights.sum()))
    assert torch.allclose(weights / weights.sum(), fitted / fitted.sum())
    assert torch.equal(function.fitted(picks.flip(0)), fitted.flip(0))


def test_nothing_to_match_gives_even_weights():
    half = gradient_pool(n=4)
    errors, features = half.signal("logit_gradients"), half.signal("features")
    pool = Pool(logit_gradients=torch.cat([errors, -errors]), features=features.repeat(2, 1))
    function = GradientMatching(pool)
    picks = torch.tensor([1, 6, 2, 4])
    function.add(picks)
    assert function.value() == pytest.approx(0, abs=1e-6)
    assert function.weights(picks).tolist() == pytest.approx([2, 2, 2, 2])
    zero = GradientMatching(Pool(logit_gradients=torch.zeros(3, 2), features=torch.ones(3, 2)))
    zero.add(torch.tensor([1]))
    assert zero.residual() == 0
    assert zero.gains(torch.arange(3)).tolist() == [0, 0, 0]


def test_kept_products_and_residual_give_the_same_correlations(monkeypatch):
    pool = gradient_pool(n=60, classes=6, d=10, seed=3)
    rows = torch.randperm(60, generator=torch.Generator().manual_seed(0))[:20]

    def correlations():
        function = GradientMatching(pool, ridge=0.1)
        found = []
        for row in rows:
            function.add(row.reshape(1))
            found.append(function.correlations())
        return torch.stack(found), function.evaluations

    kept, kept_evaluations = correlations()
    monkeypatch.setattr("clcore.objectives.gradient_matching._KEPT_BYTES", 0)
    direct, evaluations = correlations()
    assert torch.allclose(kept, direct, atol=1e-9)
    assert kept_evaluations == evaluations + 60  # the product with the target itself


def test_own_class_is_the_row_of_the_label():
    labels = torch.arange(24) % 3
    pool = gradient_pool(labels=labels)
    errors, features = pool.signal("logit_gradients"), pool.signal("features")
    masked = torch.zeros_like(errors).scatter(1, labels[:, None], errors.gather(1, labels[:, None]))
    same = GradientMatching(Pool(logit_gradients=masked, features=features))
    own = GradientMatching(pool, gradients="own-class")
    assert own.evaluate([1, 5, 9]) == pytest.approx(same.evaluate([1, 5, 9]))
    part = own.part(torch.arange(0, 24, 3))
    assert part.atoms.shape == (1, 5)
    assert part.evaluate([0, 2]) == pytest.approx(
        same.part(torch.arange(0, 24, 3)).evaluate([0, 2])
    )


def test_gradients_of_a_signal():
    matrix = torch.randn(20, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    function = GradientMatching(
        Pool(projected_gradients=matrix), gradients="projected_gradients", ridge=0
    )
    expected = reference([2, 5], matrix.numpy(), matrix.numpy().sum(0), 0)[0]
    assert function.evaluate([2, 5]) == pytest.approx(expected)
    assert function.ceiling() == pytest.approx(float(matrix.sum(dim=0).square().sum()))
    assert function.evaluate(range(20)) == pytest.approx(function.ceiling())


def test_validation_is_the_target():
    pool, other = gradient_pool(seed=1), gradient_pool(n=8, seed=2, weights=torch.arange(8.0))
    function = GradientMatching(pool, validation=other, ridge=0.5)
    target = multiplied(other).T @ (24 * np.arange(8) / 28)
    expected = reference([4, 9, 1], multiplied(pool), target, 0.5)[0]
    assert function.evaluate([4, 9, 1]) == pytest.approx(expected)
    assert function.ceiling() is None


def test_copies_in_the_set_do_no_harm():
    pool = gradient_pool().subset([0, 0, 1, 1, 2, 0])
    function = GradientMatching(pool, ridge=0)
    function.add(torch.arange(6))
    apart = GradientMatching(pool, ridge=0)
    apart.add(torch.tensor([0, 2, 4]))
    assert function.value() == pytest.approx(apart.value())
    assert function.gains(torch.arange(6)).tolist() == [0] * 6


def test_a_fork_goes_on_by_itself():
    function = GradientMatching(gradient_pool(n=60, classes=6, d=10))
    function.add(torch.tensor([3, 8]))
    before = function.value()
    fork = function.fork()
    fork.add(torch.tensor([5]))
    assert function.value() == before
    assert fork.value() == pytest.approx(function.evaluate([3, 8, 5]))
    again = function.fresh()
    again.add(torch.tensor([3, 8, 5]))
    assert torch.allclose(fork.correlations(), again.correlations())


def test_plain_greedy_takes_the_largest_gain():
    pool = gradient_pool(seed=5)
    gradients = multiplied(pool)
    target, chosen = gradients.sum(axis=0), []
    for _ in range(5):
        values = [reference([*chosen, row], gradients, target, 0.5)[0] for row in range(24)]
        chosen.append(int(np.argmax(values)))
    assert maximiser("plain").maximise(GradientMatching(pool), 5).rows == chosen
    assert get("gradient-matching").submodular is False


@pytest.mark.parametrize("ridge", [-1, float("nan"), float("inf"), "much", None, True])
def test_refuses_a_ridge_that_is_none(ridge):
    with pytest.raises(ArgumentError, match="ridge must be"):
        GradientMatching(gradient_pool(), ridge=ridge)


def test_refuses_what_does_not_fit():
    pool = gradient_pool()
    with pytest.raises(ArgumentError, match=r"validation must be a clcore\.Pool"):
        GradientMatching(pool, validation=torch.ones(3, 4))
    with pytest.raises(ArgumentError, match="shape"):
        GradientMatching(pool, validation=gradient_pool(d=5))
    with pytest.raises(SignalError, match="projected_gradients"):
        GradientMatching(pool, gradients="projected_gradients")
    with pytest.raises(ArgumentError, match="with labels"):
        GradientMatching(pool, gradients="own-class")
    with pytest.raises(ArgumentError, match="labels from 0 to 2"):
        GradientMatching(gradient_pool(labels=torch.arange(24)), gradients="own-class")
    with pytest.raises(ArgumentError, match="gradients must be"):
        GradientMatching(pool, gradients=3)
