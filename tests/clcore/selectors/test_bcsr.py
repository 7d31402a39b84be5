"""BCSR: closed-form derivatives against autograd, hypergradients against finite differences."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd.functional import hessian, jacobian

from clcore import ArgumentError, Pool, select
from clcore.selectors import create
from clcore.selectors._hypergradient import (
    conjugate_gradients,
    largest_curvature,
    neumann,
    weight_gradient,
)
from clcore.selectors._proxy import Point, Proxy, proxy_rows
from clcore.selectors.bcsr import top_k_chances
from clcore.testing import check_selector


def data(n=40, classes=3, d=4, seed=0, **columns):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (n,), generator=generator)
    features = torch.randn(n, d, generator=generator, dtype=torch.float64) + labels[:, None]
    return Pool(features=features, labels=labels, **columns)


def problem(widths, seed=0, n=9):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, widths[0], generator=generator, dtype=torch.float64)
    y = torch.randint(widths[-1], (n,), generator=generator)
    weights = torch.rand(n, generator=generator, dtype=torch.float64)
    return Proxy(widths), x, y, weights / weights.sum(), generator


def plain_losses(proxy, theta, x, y):
    """The network written with torch's own layers."""
    at, rows = 0, x
    for depth, (inputs, outputs) in enumerate(pairwise(proxy.widths)):
        matrix = theta[at : at + inputs * outputs].view(outputs, inputs)
        at += inputs * outputs
        rows = torch.nn.functional.linear(
            rows.relu() if depth else rows, matrix, theta[at:][:outputs]
        )
        at += outputs
    return torch.nn.functional.cross_entropy(rows, y, reduction="none")


@pytest.mark.parametrize("widths", [(5, 3), (5, 7, 3), (4, 6, 5, 2)])
def test_derivatives_are_those_of_autograd(widths):
    proxy, x, y, weights, generator = problem(widths)
    thetas = torch.randn(2, proxy.size, generator=generator, dtype=torch.float64)
    directions = torch.randn(2, proxy.size, generator=generator, dtype=torch.float64)
    both = Point(proxy, thetas, x, y)
    for model, (theta, v) in enumerate(zip(thetas, directions, strict=True)):
        each = jacobian(lambda t: plain_losses(proxy, t, x, y), theta)
        curve = hessian(lambda t: plain_losses(proxy, t, x, y) @ weights, theta)
        assert torch.allclose(both.losses[model], plain_losses(proxy, theta, x, y))
        assert torch.allclose(both.gradient(weights)[model], weights @ each)
        assert torch.allclose(both.along(directions)[model], each @ v)
        assert torch.allclose(both.hessian_times(directions, weights)[model], curve @ v)
    own = Point(proxy, thetas, x.expand(2, -1, -1), y.expand(2, -1))
    assert torch.allclose(own.gradient(weights), both.gradient(weights))


def solved(proxy, x, y, weights, decay, theta):
    """Newton's method to the optimum of the inner problem."""

    def inner(t):
        return plain_losses(proxy, t, x, y) @ weights + decay / 2 * t @ t

    for _ in range(30):
        slope = jacobian(inner, theta)
        theta = theta - torch.linalg.solve(hessian(inner, theta), slope)
    assert float(slope.norm()) < 1e-10
    return theta


@pytest.mark.parametrize("solver", ["neumann", "conjugate-gradient"])
def test_hypergradient_is_the_finite_difference_through_the_solved_problem(solver):
    proxy, x, y, weights, _ = problem((3, 3), seed=4)
    decay, shares = 0.1, torch.full((9,), 1 / 9, dtype=torch.float64)
    theta = solved(proxy, x, y, weights, decay, torch.zeros(proxy.size, dtype=torch.float64))
    point = Point(proxy, theta, x, y)

    def invert(product, right):
        if solver == "conjugate-gradient":
            return conjugate_gradients(product, right, 50)
        return neumann(product, right, 0.5, 800)

    found = weight_gradient(point, weights, shares, decay, invert)

    def outer(w):
        return float(plain_losses(proxy, solved(proxy, x, y, w, decay, theta), x, y) @ shares)

    step = 1e-5
    for row in range(9):
        moved = torch.zeros(9, dtype=torch.float64)
        moved[row] = step
        slope = (outer(weights + moved) - outer(weights - moved)) / (2 * step)
        assert float(found[row]) == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_hypergradient_of_a_hidden_layer():
    proxy, x, y, weights, generator = problem((3, 4, 2), seed=1)
    decay, shares = 2.0, torch.full((9,), 1 / 9, dtype=torch.float64)
    theta = proxy.start(generator, x)
    curve = hessian(lambda t: plain_losses(proxy, t, x, y) @ weights, theta)
    curve += decay * torch.eye(proxy.size, dtype=torch.float64)
    each = jacobian(lambda t: plain_losses(proxy, t, x, y), theta)
    expected = -each @ torch.linalg.solve(curve, shares @ each)
    for invert in (
        lambda product, right: conjugate_gradients(product, right, 60),
        lambda product, right: neumann(product, right, 0.3, 400),
    ):
        found = weight_gradient(Point(proxy, theta, x, y), weights, shares, decay, invert)
        assert torch.allclose(found, expected, rtol=1e-6)


def test_neumann_and_curvature_of_a_known_matrix():
    matrix = torch.diag(torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64))
    right = torch.ones(3, dtype=torch.float64)
    steps = torch.eye(3, dtype=torch.float64) - 0.1 * matrix
    expected = 0.1 * sum(torch.linalg.matrix_power(steps, q) @ right for q in range(4))
    assert torch.allclose(neumann(lambda v: matrix @ v, right, 0.1, 3), expected)
    assert largest_curvature(lambda v: matrix @ v, right, steps=30) == pytest.approx(3.0)
    assert largest_curvature(lambda v: matrix @ v, 0 * right) == 0


def test_conjugate_gradients_say_when_they_stop_early():
    matrix = torch.diag(torch.tensor([1e-4, 1.0, 3.0], dtype=torch.float64))
    right = torch.ones(3, dtype=torch.float64)
    with pytest.warns(UserWarning, match="after 1 steps with a relative residual"):
        conjugate_gradients(lambda v: matrix @ v, right, 1)
    with pytest.warns(UserWarning, match="without positive curvature"):
        conjugate_gradients(lambda v: -(matrix @ v), right, 9)
    assert not conjugate_gradients(lambda v: matrix @ v, 0 * right, 9).any()


@settings(derandomize=True, deadline=None, max_examples=15)
@given(st.integers(0, 999), st.integers(1, 5), st.sampled_from([0.05, 0.5]))
def test_top_k_gradient_is_that_of_the_smoothed_sum(seed, k, noise):
    """Against finite differences of the mean over the same draws, by brute force."""
    weights = torch.rand(6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = top_k_chances(weights, k, noise, torch.Generator().manual_seed(seed), draws=50)
    z = torch.randn(50, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

    def smoothed(w):
        return (
            sum(float((w + noise * row).sort(descending=True).values[:k].sum()) for row in z) / 50
        )

    assert float(found.sum()) == pytest.approx(k)
    for row in range(6):
        moved = torch.zeros(6, dtype=torch.float64)
        moved[row] = 1e-9
        slope = (smoothed(weights + moved) - smoothed(weights - moved)) / 2e-9
        assert float(found[row]) == pytest.approx(slope, abs=1e-5)


def test_equal_weights_have_equal_chances_and_no_noise_is_an_indicator():
    generator = torch.Generator().manual_seed(0)
    even = top_k_chances(torch.full((20,), 0.05), 5, 0.0, generator, draws=4000)
    assert torch.allclose(even, torch.full((20,), 0.25), atol=0.04)
    weights = torch.tensor([0.1, 0.4, 0.2, 0.3])
    assert top_k_chances(weights, 2, 0.0, generator).tolist() == [0, 1, 0, 1]


def test_the_regulariser_acts():
    pool = data(n=60)
    free, pushed = (
        select("bcsr", pool, 6, rounds=40, regulariser=value).report["rows_with_weight"]
        for value in (0.0, 5.0)
    )
    assert pushed < 15 < free


def test_the_outer_loss_falls():
    report = select("bcsr", data(n=60), 6, rounds=20).report
    assert report["outer_loss_last"] < report["outer_loss_first"]


@pytest.mark.parametrize("hidden", [0, 16])
def test_wrong_labels_lose_weight(hidden):
    shares = []
    for seed in range(6):
        generator = torch.Generator().manual_seed(seed)
        labels = torch.randint(3, (200,), generator=generator)
        features = torch.randn(200, 8, generator=generator) + 4 * torch.eye(3, 8)[labels]
        wrong = torch.rand(200, generator=generator) < 0.3
        pool = Pool(features=features, labels=torch.where(wrong, (labels + 1) % 3, labels))
        picks = select("bcsr", pool, 30, hidden=hidden, learning_rate=0.1).indices
        shares.append(float(wrong[picks].float().mean()))
    assert sum(shares) / len(shares) < 0.2


def test_weights():
    counts = torch.linspace(0.5, 2, 40, dtype=torch.float64)
    pool = data(weights=counts)
    sampled = select("bcsr", pool, 10)
    assert torch.allclose(sampled.weights, torch.full((10,), float(counts.sum()) / 10).double())
    largest = select("bcsr", pool, 10, pick="largest")
    assert float(largest.weights.sum()) == pytest.approx(float(counts.sum()))
    assert largest.weights.tolist() == sorted(largest.weights.tolist(), reverse=True)
    assert len(set(largest.weights.tolist())) > 1


def test_the_largest_are_the_same_whatever_the_units_and_the_order_of_the_rows():
    pool = data()
    options = {"pick": "largest", "regulariser": 0.0, "hidden": 0}
    picks = select("bcsr", pool, 8, **options).indices
    scaled = Pool(features=pool.signal("features") * 1e30 + 1e29, labels=pool.labels * 7 - 3)
    assert select("bcsr", scaled, 8, **options).indices.tolist() == picks.tolist()
    single = Pool(features=pool.signal("features").float(), labels=pool.labels)
    assert select("bcsr", single, 8, **options).indices.tolist() == picks.tolist()
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    moved = select("bcsr", pool.subset(order), 8, **options).indices
    assert order[moved].tolist() == picks.tolist()


def test_given_rows_keep_their_share():
    coreset = select("bcsr", data(), 10, given=[0, 1, 2], pick="largest", rounds=2)
    assert not set(coreset.indices.tolist()) & {0, 1, 2}
    assert float(coreset.gains.sum()) <= 10 / 13 + 1e-6


def test_more_picks_than_rows_with_weight():
    coreset = select("bcsr", data(), 30, weight_rate=50.0, rounds=3)
    assert coreset.report["rows_with_weight"] < 30
    assert len(coreset.indices.unique()) == 30
    assert float(coreset.gains[-1]) == 0


def test_divergence_is_told_and_the_last_weights_are_used():
    with pytest.warns(UserWarning, match="proxy diverged in round"):
        coreset = select("bcsr", data(), 5, learning_rate=1e200, rounds=6, hidden=8)
    assert len(coreset) == 5


def test_one_class_and_equal_rows():
    for pool in (
        Pool(
            features=torch.randn(9, 2, generator=torch.Generator().manual_seed(0)), labels=[4] * 9
        ),
        Pool(features=torch.full((9, 2), 0.1), labels=[0, 1, 2] * 3),
        Pool(features=torch.zeros(1, 2), labels=[0]),
    ):
        assert len(select("bcsr", pool, 4, hidden=3)) == min(4, len(pool))


def test_refuses_bad_options():
    with pytest.raises(ArgumentError, match="the pool needs labels"):
        select("bcsr", Pool(features=torch.ones(3, 2)), 1)
    for options, words in (
        ({"preset": "best"}, "preset"),
        ({"hidden": -1}, "hidden"),
        ({"rounds": 0}, "rounds"),
        ({"weight_rate": 0}, "weight_rate must be a finite number above 0"),
        ({"learning_rate": float("inf")}, "learning_rate"),
        ({"regulariser": -1.0}, "regulariser must be a finite number of at least 0"),
        ({"noise": "x"}, "noise"),
        ({"decay": True}, "decay"),
        ({"hypergradient": "exact"}, "hypergradient"),
        ({"pick": "all"}, "pick"),
    ):
        with pytest.raises(ArgumentError, match=words):
            create("bcsr", **options)


def test_rows_are_centred_and_scaled():
    pool = data(d=5)
    proxy, x, y = proxy_rows(pool.signal("features"), pool.labels * 10 + 2, 7)
    assert proxy.widths == (5, 7, 3)
    assert torch.equal(y, pool.labels)
    assert torch.allclose(x.mean(dim=0), torch.zeros(5).double())
    assert float(x.square().sum(dim=1).mean()) == pytest.approx(5)


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "reference"},
        {"hidden": 6},
        {"pick": "largest", "rounds": 2},
        {"hypergradient": "conjugate-gradient", "terms": 60, "decay": 0.1},
    ],
)
def test_contracts_with_other_options(options):
    check_selector(create("bcsr", **options))


def test_gradient_descent_that_grows_is_taken_back_with_a_smaller_rate():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    pool = Pool(features=torch.tensor(x[:300] / 16, dtype=torch.float32), labels=y[:300].tolist())
    steady = select("bcsr", pool, 30, learning_rate=0.5)
    grown = select("bcsr", pool, 30, learning_rate=4.0)
    assert steady.report["rate_cuts"] == 0
    assert grown.report["rate_cuts"] >= 1
    # Softmax regression from zero starts at log 10; the answer comes from rounds that went down.
    assert grown.report["outer_loss_last"] < math.log(10)
    assert len(grown.indices.unique()) == 30
