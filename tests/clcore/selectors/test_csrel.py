"""CSReL against a slow reading: models fitted by another solver, picks one by one."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch import nn

from clcore import Pool, select
from clcore.errors import ArgumentError
from clcore.selectors._reducible import Fit
from clcore.selectors.csrel import CSReL
from clcore.testing import check_selector


def rows_of(n, d, classes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % classes
    centres = torch.randn(classes, d, generator=generator, dtype=torch.float64)
    return centres[y] + torch.randn(n, d, generator=generator, dtype=torch.float64), y


def fitted(x, y, classes, decay):
    """Weights at the minimum of the objective, by Newton's method on all of them."""
    x = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
    weights = torch.zeros(x.shape[1], classes, dtype=torch.float64)
    size = weights.numel()
    for _ in range(30):
        p = (x @ weights).softmax(dim=1)
        gradient = x.t() @ (p - nn.functional.one_hot(y, classes)) + decay * weights
        inner = torch.diag_embed(p) - p.unsqueeze(2) * p.unsqueeze(1)
        hessian = torch.einsum("na,nb,ncd->acbd", x, x, inner).reshape(size, size)
        hessian += decay * torch.eye(size, dtype=torch.float64)
        weights = weights - torch.linalg.solve(hessian, gradient.view(-1)).view_as(weights)
    return weights


def losses(x, y, weights):
    x = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
    return nn.functional.cross_entropy(x @ weights, y, reduction="none")


@pytest.mark.parametrize(("rows", "columns"), [(6, 9), (40, 3)])
def test_the_fit_is_the_minimum(rows, columns):
    x, y = rows_of(50, columns, 3)
    fit = Fit(x, y, 0.7)
    fit.add(torch.arange(2))
    fit.add(torch.arange(2, rows))  # a warm start changes nothing
    expected = losses(x, y, fitted(x[:rows], y[:rows], 3, 0.7))
    assert torch.allclose(fit.losses(), expected, rtol=0, atol=2e-3)


def test_a_fit_that_does_not_converge_says_so():
    x, y = rows_of(40, 20, 2)
    with pytest.warns(UserWarning, match=r"has not converged in 2000 steps: residual .* a larger"):
        Fit(100 * x, y, 1e-7).add(torch.arange(40))


def slow(x, y, k, decay, given=()):
    x = x - x.mean(dim=0)
    x = x / x.square().sum(dim=1).mean().sqrt()
    classes = int(y.max()) + 1
    least = losses(x, y, fitted(x, y, classes, decay))
    taken, picks = list(given), []
    for _ in range(k):
        reducible = losses(x, y, fitted(x[taken], y[taken], classes, decay)) - least
        reducible[taken] = -torch.inf
        picks.append(int(reducible.argmax()))
        taken.append(picks[-1])
    return picks


@settings(derandomize=True, deadline=None, max_examples=8)
@given(seed=st.integers(0, 50), decay=st.sampled_from([0.3, 1.0, 4.0]), taken=st.booleans())
def test_the_picks_are_those_of_the_slow_reading(seed, decay, taken):
    x, y = rows_of(24, 3, 3, seed)
    before = [5, 11] if taken else []
    picks = select(CSReL(decay=decay), Pool(features=x, labels=y + 7), 7, given=before)
    assert picks.indices.tolist() == slow(x, y, 7, decay, before)


def test_rounds_take_several_at_once_and_the_first_by_the_reference_alone():
    x, y = rows_of(30, 4, 3)
    pool = Pool(features=x, labels=y)
    once = select(CSReL(rounds=1), pool, 10)
    assert once.gains.tolist() == sorted(once.gains.tolist(), reverse=True)
    several = select(CSReL(rounds=2), pool, 10).indices
    assert several[:5].tolist() == once.indices[:5].tolist()
    assert several[5:].tolist() != once.indices[5:].tolist()


def test_one_a_pick_is_greedy_and_the_traits_say_so():
    assert CSReL(rounds=None).greedy
    assert not CSReL().greedy
    check_selector(CSReL(rounds=None))


def test_balanced_picks_are_even():
    x, y = rows_of(60, 4, 3)
    y[:30] = 0
    check_selector(CSReL(balanced=True))
    picks = select(CSReL(balanced=True), Pool(features=x, labels=y), 9, given=[0, 1]).indices
    counts = torch.bincount(y[picks], minlength=3) + torch.tensor([2, 0, 0])
    assert sorted(counts.tolist()) == [3, 4, 4]


def test_wrong_labels_are_left_alone():
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor(x), torch.tensor(y)
    generator = torch.Generator().manual_seed(0)
    wrong = torch.rand(len(y), generator=generator) < 0.3
    labels = torch.where(wrong, (y + torch.randint(1, 10, y.shape, generator=generator)) % 10, y)
    coreset = select("csrel", Pool(features=x, labels=labels), 100)
    assert int(wrong[coreset.indices].sum()) <= 10, "30 by chance"
    assert coreset.report["reference_loss"] < coreset.report["coreset_loss"] < 2.3


def test_equal_rows_and_one_label_are_no_trouble():
    pool = Pool(features=torch.ones(6, 2), labels=[0, 1] * 3)
    assert len(select("csrel", pool, 4)) == 4
    assert select("csrel", Pool(features=torch.eye(4), labels=[3] * 4), 2).indices.tolist() == [
        0,
        1,
    ]


def test_bad_input():
    with pytest.raises(ArgumentError, match="csrel needs a pool with labels"):
        select("csrel", Pool(features=torch.eye(3)), 2)
    with pytest.raises(ArgumentError, match="rounds must be a whole number of at least 1"):
        CSReL(rounds=0)
    for decay in (0, -1.0, float("inf"), "1", True):
        with pytest.raises(ArgumentError, match="decay must be a finite number above 0"):
            CSReL(decay=decay)
    with pytest.raises(ArgumentError, match="balanced must be True or False"):
        CSReL(balanced=1)
