"""Losses, gradients and residuals against autograd and scikit-learn's conventions."""

import pytest
import torch
from torch.nn import functional

from clcore import Coreset
from clcore.errors import ArgumentError, SignalError
from strategies.offline.convex import LogisticRegression, RidgeRegression


def plain_losses(problem, w):
    """ℓ of each row, written once more, for autograd."""
    matrix = w.reshape(problem.outputs, -1)
    scores = problem.x.double() @ matrix[:, : problem.x.shape[1]].T
    if problem.bias:
        scores = scores + matrix[:, -1]
    if isinstance(problem, RidgeRegression):
        y = problem.y if problem.y.ndim == 2 else problem.y[:, None]
        return ((scores - y) ** 2).sum(1) / 2
    if problem.multinomial:
        places = torch.searchsorted(problem.classes, problem.y)
        return functional.cross_entropy(scores, places, reduction="none")
    signs = torch.where(problem.y == problem.classes[1], 1.0, -1.0)
    return torch.log1p(torch.exp(-signs * scores[:, 0]))


def plain_loss(problem, w, weights=None):
    losses = plain_losses(problem, w)
    mean = losses.mean() if weights is None else (losses * weights).sum() / weights.sum()
    matrix = w.reshape(problem.outputs, -1)[:, : problem.x.shape[1]]
    return mean + problem.l2 / 2 * (matrix**2).sum()


def some_parameters(problem, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(problem.shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("bias", [True, False])
def test_loss_and_gradient_equal_autograd(kind, bias, make):
    weights = torch.rand(60, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 3
    problem = make(kind, bias=bias, weights=weights)
    w = some_parameters(problem).requires_grad_()
    loss = plain_loss(problem, w, weights)
    loss.backward()
    assert problem.loss(w) == pytest.approx(float(loss.detach()), rel=1e-12)
    torch.testing.assert_close(problem.gradient(w), w.grad, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(problem.losses(w), plain_losses(problem, w.detach()))


def test_factors_times_features_are_the_gradients_of_rows(kind, make):
    problem = make(kind, n=7)
    w = some_parameters(problem)
    factors = problem.factors(w)
    for row in range(7):
        one = w.clone().requires_grad_()
        plain_losses(problem, one)[row].backward()
        extended = torch.cat([problem.x[row], torch.ones(1, dtype=torch.float64)])
        product = torch.outer(factors[row], extended).reshape(problem.shape)
        torch.testing.assert_close(product, one.grad)


def test_gradient_of_many_rows_is_summed_over_blocks(make):
    problem = make("binary", n=70_000, d=3, dtype=torch.float32)
    w = some_parameters(problem)
    wide = LogisticRegression(problem.x.double(), problem.y, l2=problem.l2)
    torch.testing.assert_close(problem.gradient(w), wide.gradient(w), rtol=1e-5, atol=1e-7)
    assert problem.loss(w) == pytest.approx(wide.loss(w), rel=1e-12)
    assert problem.factors(w).dtype == torch.float32


def test_a_subset_weighs_its_rows(kind, make):
    problem = make(kind)
    coreset = Coreset.of([5, 2, 40], weights=[1.0, 3.0, 2.0])
    part = problem.subset(coreset)
    w = some_parameters(problem)
    losses = plain_losses(problem, w)[[5, 2, 40]]
    mean = (losses * torch.tensor([1.0, 3.0, 2.0])).sum() / 6
    assert part.loss(w) == pytest.approx(float(mean) + problem.penalty(w), rel=1e-12)
    assert float(part.weights.mean()) == pytest.approx(1)
    same = problem.subset([5, 2, 40], [10.0, 30.0, 20.0])
    torch.testing.assert_close(same.gradient(w), part.gradient(w))


def test_a_subset_of_weighted_rows_keeps_their_weights(make):
    weights = torch.arange(60.0)
    part = make("ridge", weights=weights).subset([1, 3])
    torch.testing.assert_close(part.weights, torch.tensor([0.5, 1.5], dtype=torch.float64))


def test_predictions_and_errors():
    x = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]])
    problem = LogisticRegression(x, [3, 3, 7, 7])
    w = torch.tensor([1.0, 0.0])
    assert problem.predict(w).tolist() == [3, 3, 7, 7]
    assert problem.error(w, x, [3, 7, 7, 7]) == 0.25
    torch.testing.assert_close(problem.probabilities(w).sum(1), torch.ones(4).double())
    ridge = RidgeRegression(x, [0.0, 0.0, 0.0, 0.0])
    assert ridge.error(w, x, [-2.0, -1.0, 1.0, 4.0]) == pytest.approx(1.0)
    several = LogisticRegression(x, [4, 4, 6, 9])
    assert several.shape == (3, 2)
    assert set(several.predict(torch.eye(3, 2)).tolist()) <= {4, 6, 9}


def test_two_classes_by_softmax_agree_with_logistic(rows):
    x, y = rows(30, 3), torch.arange(30) % 2
    logistic = LogisticRegression(x, y, l2=0.0)
    softmax = LogisticRegression(x, y, l2=0.0, multinomial=True)
    w = rows(4, 1, 9)[:, 0]
    both = torch.stack([torch.zeros_like(w), w])
    assert softmax.loss(both) == pytest.approx(logistic.loss(w), rel=1e-12)


def test_pool_has_what_selectors_read(make):
    problem = make("softmax")
    w = some_parameters(problem)
    pool = problem.pool(w)
    assert pool.has("features")
    assert torch.equal(pool.labels, torch.searchsorted(problem.classes, problem.y))
    torch.testing.assert_close(pool.signal("logit_gradients"), problem.factors(w))
    assert make("ridge").pool().labels is None


def test_smoothness_bounds_the_change_of_gradients(kind, make):
    weights = torch.rand(60, generator=torch.Generator().manual_seed(2), dtype=torch.float64) + 0.1
    problem = make(kind, weights=weights)
    bound = problem.largest_smoothness()
    first, second = some_parameters(problem, 1), some_parameters(problem, 2)
    for row in range(60):
        part = problem.subset([row])
        share = float(problem.weights[row])
        change = (part.factors(first) - part.factors(second))[0] * share
        extended = torch.cat([problem.x[row], torch.ones(1, dtype=torch.float64)])
        length = float(torch.outer(change, extended).norm())
        assert length <= bound * float((first - second).norm()) * (1 + 1e-9)


def test_coordinates_do_not_change_the_loss(kind, make, rows):
    problem = make(kind)
    basis = torch.linalg.qr(rows(5, 5, 4))[0] * torch.tensor([1.0, 2.0, 0.5, 3.0, 1.0])
    other = problem.transformed(basis, torch.zeros(5, dtype=torch.float64))
    moved = some_parameters(problem).reshape(problem.outputs, -1)
    w = (moved @ basis.T).reshape(problem.shape)
    losses = other.losses(moved.reshape(other.shape))
    torch.testing.assert_close(losses, problem.losses(w))


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (torch.zeros(3), [0, 1, 0], {}, r"x must have shape \[n, d\], not \(3,\)"),
        (torch.zeros(3, 1), [0, 1], {}, "y has 2 rows where x has 3"),
        (torch.zeros(0, 1), [], {}, "y"),
        (torch.zeros(3, 1), [1, 1, 1], {}, "at least two different labels, not 1"),
        (torch.zeros(3, 1), [0.5, 1, 0], {}, "y must be integers"),
        (torch.zeros(3, 1), [0, 1, 2], {"multinomial": False}, "is for two classes"),
        (torch.zeros(3, 1), [0, 1, 1], {"l2": -1.0}, "l2 must be a finite number of at least 0"),
        (torch.zeros(3, 1), [0, 1, 1], {"l2": float("nan")}, "l2 must be a finite number"),
        (torch.zeros(3, 1), [0, 1, 1], {"weights": [1.0, 1.0]}, "weights has 2 numbers for 3"),
        (torch.zeros(3, 1), [0, 1, 1], {"weights": [1.0, -1, 1]}, "must not be negative"),
    ],
)
def test_wrong_input_is_refused(x, y, options, message):
    with pytest.raises(ArgumentError, match=message):
        LogisticRegression(x, y, **options)


def test_wrong_targets_and_parameters_are_refused(make):
    problem = make("binary")
    with pytest.raises(ArgumentError, match=r"w must be a tensor of shape \(5,\), not \(4,\)"):
        problem.loss(torch.zeros(4))
    with pytest.raises(ArgumentError, match="coreset holds no rows"):
        problem.subset([])
    with pytest.raises(ArgumentError, match="coreset holds 60"):
        problem.subset([60])
    with pytest.raises(ArgumentError, match=r"x must have shape \[n, 4\]"):
        problem.predict(problem.zeros(), torch.zeros(2, 3))
    with pytest.raises(SignalError, match=r"'x' holds NaN, first in row 1"):
        RidgeRegression(torch.tensor([[0.0], [float("nan")]]), [0.0, 1.0])
    with pytest.raises(SignalError, match=r"'y' holds infinity, first in row 0"):
        RidgeRegression(torch.zeros(2, 1), [float("inf"), 1.0])
    with pytest.raises(ArgumentError, match=r"shape \[n\] or \[n, m\]"):
        RidgeRegression(torch.zeros(2, 1), torch.zeros(2, 1, 1))
