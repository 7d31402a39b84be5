"""k-means++ seeding: the exact distribution."""

import itertools

import pytest
import torch

from clcore import ArgumentError, Pool, select

X = torch.tensor([[0.0], [1.0], [3.0], [7.0]], dtype=torch.float64)


def exact(x, k, weights, taken=()):
    """Return the probability of each sequence of picks by the definition."""
    weights = torch.ones(len(x)) if weights is None else weights
    chances = {}
    for sequence in itertools.permutations(set(range(len(x))) - set(taken), k):
        chance, chosen = 1.0, list(taken)
        for row in sequence:
            mass = weights.double()
            if chosen:
                mass = mass * torch.cdist(x, x[chosen]).min(dim=1).values.square()
            chance *= float(mass[row] / mass.sum())
            chosen.append(row)
        chances[sequence] = chance
    return chances


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 4.0, 2.0, 0.5])])
@pytest.mark.parametrize("taken", [(), (1,)])
def test_distribution(weights, taken):
    pool = Pool(features=X, weights=weights)
    generator = torch.Generator().manual_seed(0)
    expected = exact(X, 2, weights, taken)
    counts = dict.fromkeys(expected, 0)
    draws = 1000
    for _ in range(draws):
        picks = select("k-means-plus-plus", pool, 2, given=list(taken), generator=generator).indices
        counts[tuple(picks.tolist())] += 1
    for sequence, chance in expected.items():
        spread = (chance * (1 - chance) / draws) ** 0.5
        assert abs(counts[sequence] / draws - chance) <= 4 * spread + 1e-9, sequence


def test_prefix_and_gains():
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    pool = Pool(features=x)
    long, short = (select("k-means-plus-plus", pool, k, seed=4, with_gains=True) for k in (12, 5))
    assert long.indices[:5].tolist() == short.indices.tolist()
    errors = [
        float(torch.cdist(x, x[long.indices[: j + 1]]).min(dim=1).values.square().mean())
        for j in range(12)
    ]
    falls = [before - after for before, after in itertools.pairwise(errors)]
    assert long.gains[0] == 0
    assert long.gains[1:].tolist() == pytest.approx(falls, abs=1e-5)
    assert select("k-means-plus-plus", pool, 5, seed=4).gains.tolist() == [0] * 5
    on_top = select("k-means-plus-plus", pool, 3, given=[3, 5], with_gains=True)
    rows = torch.tensor([3, 5, *on_top.indices.tolist()])
    errors = [
        float(torch.cdist(x, x[rows[:j]]).min(dim=1).values.square().mean()) for j in (2, 3, 4, 5)
    ]
    falls = [before - after for before, after in itertools.pairwise(errors)]
    assert on_top.gains.tolist() == pytest.approx(falls, abs=1e-5)


def test_copies_and_rows_without_weight_are_the_last_resort():
    x = torch.tensor([[0.0], [0.0], [0.0], [5.0]])
    for seed in range(10):
        picks = select("k-means-plus-plus", Pool(features=x), 4, seed=seed).indices.tolist()
        assert sorted(picks) == [0, 1, 2, 3]
        assert 3 in picks[:2]
    pool = Pool(features=x, weights=[1, 1, 0, 0])
    picks = select("k-means-plus-plus", pool, 4).indices.tolist()
    assert set(picks[:2]) == {0, 1}
    assert sorted(picks) == [0, 1, 2, 3]


def test_quotas_close_labels():
    pool = Pool(features=torch.randn(30, 2), labels=torch.arange(30) % 3)
    picks = select("k-means-plus-plus", pool, 30, quotas={0: 1, 1: 2}).indices
    assert torch.bincount(picks % 3).tolist() == [1, 2, 10]


@pytest.mark.parametrize("power", [0.0, -1.0, float("inf"), float("nan")])
def test_refuses_a_bad_power(power):
    with pytest.raises(ArgumentError, match="power must be"):
        select("k-means-plus-plus", Pool(features=torch.eye(3)), 1, power=power)
