"""BADGE: its distances are those of the multiplied-out gradients, its draws go by them."""

from collections import Counter
from itertools import pairwise

import pytest
import torch

from clcore import ArgumentError, Pool, select
from clcore.selectors import create
from clcore.selectors.badge import hypothesised_gradients
from clcore.testing import check_selector


def data(n=30, classes=4, d=5, seed=0, kind=torch.float64, **columns):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(n, d, generator=generator, dtype=torch.float64) + 1
    logits = 2 * torch.randn(n, classes, generator=generator, dtype=torch.float64)
    return Pool(features=features.to(kind), logits=logits.to(kind), **columns)


def multiplied(pool, bias=False):
    """The hypothesised gradients by autograd, one row at a time."""
    found = []
    pairs = zip(pool.signal("logits").double(), pool.signal("features").double(), strict=True)
    for logits, features in pairs:
        scores = logits.clone().requires_grad_()
        loss = torch.nn.functional.cross_entropy(scores[None], logits.argmax()[None])
        error = torch.autograd.grad(loss, scores)[0]
        inputs = torch.cat([features, torch.ones(1).double()]) if bias else features
        found.append(torch.outer(error, inputs).reshape(-1))
    return torch.stack(found)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_distances_are_those_of_the_multiplied_out_gradients(bias, kind):
    pool = data(kind=kind)
    points = hypothesised_gradients(pool.signal("logits"), pool.signal("features"), bias=bias)
    plain = multiplied(pool, bias)
    expected = (plain[:, None] - plain[None]).square().sum(dim=2)
    ours = points.to_rows(torch.arange(30)).double()
    near = 1e-4 if kind == torch.float32 else 1e-10
    assert torch.allclose(ours, expected, rtol=near, atol=near)
    assert torch.allclose(points.squares.double(), plain.square().sum(dim=1), rtol=near, atol=near)


def test_the_first_pick_is_the_longest_gradient():
    for bias in (False, True):
        for seed in range(5):
            pool = data(seed=seed)
            longest = int(multiplied(pool, bias).norm(dim=1).argmax())
            picks = select("badge", pool, 4, bias=bias, seed=seed).indices.tolist()
            assert picks[0] == longest
            assert select("badge", pool, 3, given=[longest], seed=seed).indices[0] != longest


@pytest.mark.parametrize("weighted", [False, True])
def test_later_picks_are_drawn_by_squared_distance(weighted):
    weights = torch.linspace(0.1, 2, 8).double() if weighted else None
    pool, draws = data(n=8, weights=weights), 1000
    plain = multiplied(pool)
    first = int(plain.norm(dim=1).argmax())
    mass = (plain - plain[first]).square().sum(dim=1)
    mass = mass * weights if weighted else mass
    seen = Counter(int(select("badge", pool, 2, seed=seed).indices[1]) for seed in range(draws))
    expected = mass / mass.sum()
    for row in range(8):
        spread = 4 * float((expected[row] * (1 - expected[row]) / draws).sqrt())
        assert abs(seen[row] / draws - float(expected[row])) <= spread


def test_gains_are_the_decreases_of_the_mean_squared_distance():
    pool = data()
    coreset, plain = select("badge", pool, 8, seed=1), multiplied(pool)
    picks = coreset.indices.tolist()
    means = []
    for count in range(1, 9):
        squared = torch.cdist(plain, plain[picks[:count]]).square()
        means.append(float(squared.min(dim=1).values.mean()))
    falls = [before - after for before, after in pairwise(means)]
    assert coreset.gains[0] == 0
    assert coreset.gains[1:].tolist() == pytest.approx(falls, rel=1e-6)


def test_quotas_bear_on_the_first_pick_too():
    pool = data(labels=torch.arange(30) % 2)
    longest = int(multiplied(pool).norm(dim=1).argmax())
    coreset = select("badge", pool, 30, quotas={longest % 2: 0})
    assert len(coreset) == 15
    lengths = multiplied(pool).norm(dim=1)
    lengths[longest % 2 :: 2] = 0
    assert int(coreset.indices[0]) == int(lengths.argmax())


def test_sure_rows_come_last():
    # Where the answer is certain the gradient is 0: such rows are all alike.
    logits = torch.zeros(10, 3, dtype=torch.float64)
    logits[4:, 0] = 1e4
    features = torch.randn(10, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    picks = select("badge", Pool(features=features, logits=logits), 10).indices.tolist()
    assert sorted(picks) == list(range(10))
    assert set(picks[:5]) > {0, 1, 2, 3}


def test_refuses_a_bias_that_is_no_flag():
    with pytest.raises(ArgumentError, match="bias must be"):
        select("badge", data(), 2, bias="no")


@pytest.mark.parametrize("options", [{"bias": True}])
def test_contracts_with_other_options(options):
    check_selector(create("badge", **options))
