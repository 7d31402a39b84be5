"""The greedy coreset against the bilevel problem solved plainly, derivatives by differences."""

import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

from clcore import Pool, select
from clcore.errors import ArgumentError
from clcore.geometry import representer
from clcore.geometry.neural_tangent_kernel import neural_tangent_kernel
from clcore.selectors import _representer, create
from clcore.selectors.greedy_coreset import GreedyCoreset
from clcore.testing import check_selector

EXACT = {"candidates": None, "start": 0, "inner_tolerance": 1e-9}


def small_pool(rows=10, seed=0, weighted=False):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (rows,), generator=generator)
    features = torch.randn(rows, 4, generator=generator, dtype=torch.float64) + labels[:, None]
    weights = torch.rand(rows, generator=generator) + 0.5 if weighted else None
    return Pool(features=features, labels=labels, weights=weights)


def digits(rows=300):
    x, y = load_digits(return_X_y=True)
    return torch.tensor(x[:rows]), torch.tensor(y[:rows])


# -- a plain reading of the paper ----------------------------------------------------------------


def plain_kernel(pool, name="ntk"):
    x = pool.signal("features").double()
    x = (x - x.mean()) / (x - x.mean()).square().mean().sqrt()
    if name == "ntk":
        return neural_tangent_kernel(x)
    if name == "rbf":
        return torch.exp(-torch.cdist(x, x).square() / x.shape[1])
    return x @ x.T / x.shape[1] + 1


def outer_loss(pool, kernel, chosen, weights, ridge, mean_over):
    """G: the inner problem by Newton's method with the Hessian of autograd."""
    inner = kernel[chosen][:, chosen]
    labels = pool.labels
    classes = max(2, int(labels.max()) + 1)
    v = torch.ones(len(pool)) if pool.weights is None else pool.weights
    v = (v / v.sum()).double()

    def objective(flat):
        alpha = flat.view(len(chosen), classes)
        losses = cross_entropy(inner @ alpha, labels[chosen], reduction="none")
        return (weights * losses).sum() / mean_over + ridge * (alpha * (inner @ alpha)).sum()

    flat = torch.zeros(len(chosen) * classes, dtype=torch.float64)
    for _ in range(40):
        flat.requires_grad_()
        gradient = torch.autograd.grad(objective(flat), flat)[0]
        flat = flat.detach()
        hessian = torch.autograd.functional.hessian(objective, flat)
        step = torch.linalg.lstsq(hessian, -gradient.unsqueeze(1), driver="gelsd").solution[:, 0]
        flat = flat + step
        if float(step.norm()) < 1e-9 * (1 + float(flat.norm())):
            break
    values = kernel[:, chosen] @ flat.view(len(chosen), classes)
    return float((v * cross_entropy(values, labels, reduction="none")).sum())


def derivative(pool, kernel, chosen, weights, place, ridge, mean_over):
    """∂G/∂w of one row, by differences."""
    losses = []
    for shift in (1e-4, -1e-4) if float(weights[place]) > 0 else (1e-5, 0.0):
        moved = weights.clone()
        moved[place] += shift
        losses.append(outer_loss(pool, kernel, chosen, moved, ridge, mean_over))
    return (losses[0] - losses[1]) / (2e-4 if float(weights[place]) > 0 else 1e-5)


def plain_greedy(pool, k, ridge=0.05, refits=0, rate=0.01, kernel="ntk"):
    kernel = plain_kernel(pool, kernel)
    chosen, weights = [], torch.zeros(0, dtype=torch.float64)
    for _ in range(k):
        held = max(1, len(chosen))
        slopes = {}
        for row in set(range(len(pool))) - set(chosen):
            more = torch.cat((weights, torch.zeros(1, dtype=torch.float64)))
            slopes[row] = derivative(
                pool, kernel, [*chosen, row], more, held - (not chosen), ridge, held
            )
        chosen.append(min(slopes, key=slopes.get))
        weights = torch.cat((weights, torch.ones(1, dtype=torch.float64)))
        first = second = torch.zeros_like(weights)
        for step in range(1, refits + 1):
            size = len(chosen)
            slope = torch.tensor(
                [derivative(pool, kernel, chosen, weights, i, ridge, size) for i in range(size)]
            )
            first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
            change = first / (1 - 0.9**step) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
            weights = (weights - rate * change).clamp_min(0)
    return chosen, weights, outer_loss(pool, kernel, chosen, weights, ridge, len(chosen))


@pytest.mark.parametrize("kernel", ["ntk", "rbf", "linear"])
@pytest.mark.parametrize("weighted", [False, True])
def test_picks_are_those_of_the_plain_reading(kernel, weighted):
    pool = small_pool(weighted=weighted)
    method = GreedyCoreset(kernel=kernel, regularisation=0.05, refits=0, **EXACT)
    coreset = select(method, pool, 4)
    picks, _, loss = plain_greedy(pool, 4, kernel=kernel)
    assert coreset.indices.tolist() == picks
    assert coreset.report["outer_loss"] == pytest.approx(loss, abs=1e-6)
    start = torch.tensor(3.0).log()
    assert float(coreset.gains.sum()) == pytest.approx(float(start) - loss, abs=1e-6)


def test_weights_are_those_of_the_plain_reading():
    pool = small_pool(seed=3)
    method = GreedyCoreset(regularisation=0.05, refits=3, refit_rate=0.1, **EXACT)
    coreset = select(method, pool, 3)
    picks, weights, loss = plain_greedy(pool, 3, refits=3, rate=0.1)
    assert coreset.indices.tolist() == picks
    assert torch.allclose(coreset.weights, weights * len(pool) / weights.sum(), rtol=1e-3)
    assert float(weights.max() - weights.min()) > 0.2
    assert coreset.report["outer_loss"] == pytest.approx(loss, rel=1e-3)


# -- what it promises ----------------------------------------------------------------------------

VARIANTS = [
    EXACT,
    {**EXACT, "kernel": "rbf"},
    {**EXACT, "kernel": "linear", "standardise": False},
    {**EXACT, "depth": 0, "refits": 0},
    {"candidates": 5, "start": 3},
]


@pytest.mark.parametrize("options", VARIANTS)
def test_contracts_with_other_options(options):
    check_selector(create("greedy-coreset", **options))


def test_it_says_whether_it_draws():
    assert GreedyCoreset().randomised
    assert GreedyCoreset(candidates=None).randomised
    assert not GreedyCoreset(**EXACT).randomised


def test_refits_lower_the_loss_and_picks_beat_random_ones():
    x, y = digits()
    pool = Pool(features=x, labels=y)
    losses = {refits: select(GreedyCoreset(refits=refits, **EXACT), pool, 20) for refits in (0, 5)}
    assert losses[5].report["outer_loss"] < losses[0].report["outer_loss"]
    drawn = select(GreedyCoreset(start=20, refits=0), pool, 20)
    assert losses[0].report["outer_loss"] < drawn.report["outer_loss"] - 0.1


def test_picks_are_balanced_without_quotas():
    x, y = digits(500)
    counts = torch.bincount(y[select("greedy-coreset", Pool(features=x, labels=y), 50).indices])
    assert counts.min() >= 3
    assert counts.max() <= 8


def test_a_small_regularisation_is_solved_too():
    x, y = digits(200)
    method = GreedyCoreset(regularisation=1e-7, refits=2, refit_rate=0.05, start=10)
    coreset = select(method, Pool(features=x, labels=y), 30)
    assert coreset.report["residual"] <= 1e-4
    assert float(coreset.weights.sum()) == pytest.approx(200)


def test_copies_are_told_apart_from_news():
    x, y = digits(60)
    pool = Pool(
        features=torch.cat((x[:1].expand(40, -1), x)), labels=torch.cat((y[:1].expand(40), y))
    )
    picks = select(GreedyCoreset(**EXACT), pool, 20).indices
    assert int((picks < 41).sum()) <= 3


@pytest.mark.parametrize("kernel", ["ntk", "rbf", "linear"])
@pytest.mark.parametrize(
    "features", [torch.ones(9, 3), torch.zeros(9, 3), torch.arange(27.0).view(9, 3)]
)
@pytest.mark.parametrize("labels", [[0] * 9, [0, 1, 2] * 3, list(range(9)), [7] * 8 + [-3]])
def test_degenerate_pools(kernel, features, labels):
    for k in (1, 4, 9):
        coreset = select(
            create("greedy-coreset", kernel=kernel), Pool(features=features, labels=labels), k
        )
        assert len(coreset.indices.unique()) == k
        assert bool(torch.isfinite(coreset.weights).all() and (coreset.weights >= 0).all())
        assert float(coreset.weights.sum()) == pytest.approx(9)


def test_rows_of_one_class_are_told_apart():
    generator = torch.Generator().manual_seed(0)
    centres = torch.eye(6)[:3].repeat_interleave(10, 0) * 5
    x = centres + 0.1 * torch.randn(30, 6, generator=generator)
    picks = select(GreedyCoreset(**EXACT), Pool(features=x, labels=[0] * 30), 3).indices
    assert sorted((picks // 10).tolist()) == [0, 1, 2]


def test_given_rows_are_built_upon():
    pool = small_pool(40)
    method = GreedyCoreset(**EXACT)
    first = select(method, pool, 6).indices
    on = select(method, pool, 3, given=first)
    fresh = select(method, pool, 3)
    assert not set(on.indices.tolist()) & set(first.tolist())
    assert on.indices.tolist() != fresh.indices.tolist()
    assert float(on.weights.sum()) == pytest.approx(40)
    # What is there from the start counts: the loss begins where the given rows leave it.
    assert float(on.gains.sum()) < float(fresh.gains.sum())


def test_rows_of_the_kernel_are_computed_once_or_not_kept(monkeypatch):
    pool = small_pool(60)
    method = GreedyCoreset(**EXACT)
    kept = select(method, pool, 8)
    assert kept.cost.distance_evaluations == 60 * 60
    monkeypatch.setattr(_representer, "_KEPT", 100)
    again = select(method, pool, 8)
    assert torch.equal(again.indices, kept.indices)
    assert torch.allclose(again.weights, kept.weights, rtol=1e-9)
    assert again.cost.distance_evaluations > 60 * 60
    few = select(GreedyCoreset(candidates=4), pool, 8)
    assert few.cost.distance_evaluations <= 60 * (1 + 7 * 5)


def test_both_ways_to_solve_linear_systems_agree(monkeypatch):
    pool = small_pool(60)
    method = GreedyCoreset(**EXACT)
    dense = select(method, pool, 12)
    monkeypatch.setattr(representer, "SMALL", 0)
    iterated = select(method, pool, 12)
    assert torch.equal(dense.indices, iterated.indices)
    assert torch.allclose(dense.weights, iterated.weights, rtol=1e-6)
    monkeypatch.setattr(representer, "DENSE", 0)
    assert torch.equal(dense.indices, select(method, pool, 12).indices)


def test_an_unfinished_inner_problem_is_said():
    with pytest.warns(UserWarning, match="inner problem was left with a relative residual of"):
        coreset = select(GreedyCoreset(inner_steps=1), small_pool(60), 10)
    assert len(coreset) == 10


def test_an_unfinished_linear_system_is_said(monkeypatch):
    monkeypatch.setattr(representer, "SMALL", 0)
    monkeypatch.setattr(representer, "DENSE", 0)
    method = GreedyCoreset(conjugate_gradient_steps=1, inner_steps=500)
    with pytest.warns(UserWarning, match="linear system was left with a relative residual of"):
        coreset = select(method, small_pool(60), 10)
    assert len(coreset) == 10


def test_labels_are_needed():
    with pytest.raises(ArgumentError, match="greedy-coreset needs a pool with labels"):
        select("greedy-coreset", Pool(features=torch.rand(5, 2)), 2)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel": "cosine"},
        {"depth": -1},
        {"regularisation": 0.0},
        {"candidates": 0},
        {"start": -1},
        {"refits": 1.5},
        {"refit_rate": -0.1},
        {"inner_steps": 0},
        {"inner_tolerance": 1.0},
        {"inner_tolerance": "small"},
        {"conjugate_gradient_steps": 0},
        {"standardise": "yes"},
    ],
)
def test_bad_options_are_refused(options):
    with pytest.raises(ArgumentError, match=next(iter(options))):
        GreedyCoreset(**options)
