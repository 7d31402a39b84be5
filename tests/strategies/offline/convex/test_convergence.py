"""Where the solvers end: scikit-learn's optimum, the coreset's own, and that of all data."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression as SklearnLogistic
from sklearn.linear_model import Ridge

from strategies.offline.convex import (
    SAGA,
    SGD,
    SVRG,
    Exponential,
    LogisticRegression,
    RidgeRegression,
    leverage_sample,
    optimum,
)


def sklearn_parameters(problem):
    """Fit scikit-learn's model with the same objective: parameters in our shape."""
    x, n = problem.x.double().numpy(), len(problem)
    weights = None if problem.weights is None else problem.weights.numpy()
    if isinstance(problem, RidgeRegression):
        model = Ridge(alpha=problem.l2 * n, tol=1e-12, solver="cholesky")
        model.fit(x, problem.y.numpy(), weights)
    else:
        model = SklearnLogistic(C=1 / (problem.l2 * n), tol=1e-10, max_iter=5000)
        model.fit(x, problem.y.numpy(), weights)
    w = np.concatenate([np.atleast_2d(model.coef_), np.reshape(model.intercept_, (-1, 1))], 1)
    return torch.from_numpy(w).reshape(problem.shape)


@pytest.mark.parametrize("weighted", [False, True])
def test_optimum_is_that_of_scikit_learn(kind, weighted, make):
    weights = torch.rand(60, generator=torch.Generator().manual_seed(1)) + 0.2 if weighted else None
    problem = make(kind, weights=weights)
    found = optimum(problem)
    theirs = sklearn_parameters(problem)
    assert found.loss == pytest.approx(problem.loss(theirs), abs=1e-9)
    assert found.loss <= problem.loss(theirs) + 1e-13
    assert found.gradient_norm < 1e-9
    assert float(problem.gradient(found.w).norm()) < 1e-8


def test_optimum_by_many_parameters(monkeypatch, make):
    import sys

    monkeypatch.setattr(sys.modules["strategies.offline.convex.optimum"], "NEWTON_PARAMETERS", 1)
    problem = make("softmax")
    quasi = optimum(problem, tolerance=1e-7)
    monkeypatch.undo()
    assert quasi.loss == pytest.approx(optimum(problem).loss, abs=1e-10)


def test_optimum_that_does_not_exist_warns():
    problem = LogisticRegression(torch.tensor([[-1.0], [1.0]]), [0, 1], l2=0.0)
    with pytest.warns(RuntimeWarning, match="with l2=0 there may be none"):
        optimum(problem, iterations=5)


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("solver", [SVRG, SAGA])
def test_variance_reduction_reaches_the_optimum(solver, whiten, kind, make):
    problem = make(kind)
    best = optimum(problem)
    found = solver(whiten=whiten).minimise(problem, epochs=600)
    assert problem.loss(found.w) - best.loss < 1e-9
    rows, weights = torch.arange(0, 60, 2), torch.arange(30) + 1.0
    part = problem.subset(rows, weights)
    found = solver(whiten=whiten).minimise(problem, rows=rows, weights=weights, epochs=600)
    assert part.loss(found.w) - optimum(part).loss < 1e-9


@pytest.mark.parametrize("whiten", [False, True])
def test_sgd_gets_near_the_optimum(kind, whiten, make):
    problem = make(kind)
    found = SGD(Exponential(0.05, 0.99), whiten=whiten).minimise(problem, epochs=1000)
    assert problem.loss(found.w) - optimum(problem).loss < 1e-4


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("solver", [SGD, SVRG, SAGA])
def test_anchored_to_all_data_it_reaches_the_optimum_of_all_data(solver, whiten, kind, make):
    """The coreset's own optimum is far away, so the correction must be what gets there."""
    problem = make(kind, n=400, d=3)
    best = optimum(problem)
    rows = torch.arange(60)
    own = problem.loss(optimum(problem.subset(rows)).w) - best.loss
    schedule = Exponential(0.05, 0.99) if solver is SGD else None
    epochs = 1000 if solver is SGD else 300
    settled = solver(schedule, whiten=whiten).minimise(problem, rows=rows, epochs=epochs)
    anchored = solver(schedule, whiten=whiten, anchor="all").minimise(
        problem, rows=rows, epochs=epochs
    )
    assert problem.loss(settled.w) - best.loss > 0.3 * own
    near = 1e-8 if solver is not SGD else 1e-5
    assert own > 100 * near
    assert problem.loss(anchored.w) - best.loss < near


def test_whitening_evens_out_scales():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2000, 4, generator=generator) * torch.tensor([1.0, 0.03, 5.0, 0.2])
    y = (x @ torch.tensor([1.0, 30.0, 0.2, -5.0]) > 0).long()
    problem = LogisticRegression(x, y, l2=1e-5)
    best = optimum(problem)
    plain, white = (SVRG(whiten=way).minimise(problem, epochs=15) for way in (False, True))
    assert problem.loss(white.w) - best.loss < 0.2 * (problem.loss(plain.w) - best.loss)


def test_whitened_start_is_where_it_was(kind, make):
    problem = make(kind)
    w = torch.randn(problem.shape, generator=torch.Generator().manual_seed(3)).double()
    found = SVRG(1e-12, whiten=True).minimise(problem, epochs=1, start=w)
    torch.testing.assert_close(found.w, w, atol=1e-8, rtol=1e-8)


def test_anchored_on_a_leverage_sample():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(3000, 5, generator=generator)
    rare = (torch.rand(3000, 1, generator=generator) < 0.01).float()
    x = torch.cat([x, rare], 1)
    scores = x @ torch.tensor([1.0, -1.0, 0.5, 0.0, 0.2, 2.0])
    y = (scores + torch.randn(3000, generator=generator) > 0).long()
    problem = LogisticRegression(x.double(), y, l2=1e-5)
    coreset = leverage_sample(problem, 300)
    best = optimum(problem).loss
    found = SVRG(anchor="all", whiten=True, refresh=2).minimise(
        problem, coreset=coreset, epochs=200
    )
    assert problem.loss(found.w) - best < 1e-9
