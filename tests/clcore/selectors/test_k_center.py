"""k-center: greedy by brute force, within twice the optimum, options."""

from itertools import combinations, pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clcore import ArgumentError, Pool, select


def data(n, d, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator, dtype=torch.float64)


def radius(x, picks):
    return float(torch.cdist(x, x[list(picks)]).min(dim=1).values.max())


def brute(x, k, taken):
    """Farthest-first by the definition."""
    taken, picks = list(taken), []
    for _ in range(k):
        least = torch.cdist(x, x[taken], compute_mode="donot_use_mm_for_euclid_dist").min(1).values
        least[taken] = -1
        picks.append(int(least.argmax()))
        taken.append(picks[-1])
    return picks


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(3, 20), st.integers(1, 5), st.integers(0, 99))
def test_is_brute_force_farthest_first(n, d, seed):
    x = data(n, d, seed)
    picks = select("k-center", Pool(features=x), n).indices.tolist()
    assert picks[0] == int((x - x.mean(dim=0)).norm(dim=1).argmin())
    assert picks[1:] == brute(x, n - 1, picks[:1])
    taken = [0, n - 1]
    ours = select("k-center", Pool(features=x), n, given=taken).indices.tolist()
    assert ours == brute(x, n - 2, taken)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("first", ["center", "random", 3])
def test_radius_is_within_twice_the_optimum(seed, first):
    x = data(12, 2, seed)
    for k in (2, 3, 4):
        picks = select("k-center", Pool(features=x), k, first=first, seed=seed).indices.tolist()
        best = min(radius(x, subset) for subset in combinations(range(12), k))
        assert radius(x, picks) <= 2 * best + 1e-9


def test_gains_are_the_decreases_of_the_radius():
    x = data(30, 3, 0)
    pool = Pool(features=x)
    coreset = select("k-center", pool, 8)
    picks = coreset.indices.tolist()
    radii = [radius(x, picks[: j + 1]) for j in range(8)]
    assert coreset.gains[0] == 0
    falls = [before - after for before, after in pairwise(radii)]
    assert coreset.gains[1:].tolist() == pytest.approx(falls, abs=1e-6)
    on_top = select("k-center", pool, 2, given=picks[:4])
    expected = [radii[3] - radii[4], radii[4] - radii[5]]
    assert on_top.gains.tolist() == pytest.approx(expected, abs=1e-6)


def test_permuting_the_pool_permutes_the_picks():
    x, order = data(25, 3, 1), torch.randperm(25, generator=torch.Generator().manual_seed(0))
    picks = select("k-center", Pool(features=x), 10).indices
    assert order[select("k-center", Pool(features=x[order]), 10).indices].tolist() == picks.tolist()


def test_first_pick():
    pool = Pool(features=data(20, 2, 2), labels=torch.arange(20) % 2)
    assert select("k-center", pool, 3, first=7).indices[0] == 7
    draws = {int(select("k-center", pool, 1, first="random", seed=s).indices) for s in range(20)}
    assert len(draws) > 5
    assert int(select("k-center", pool, 1, first="random", quotas={0: 0}).indices) % 2 == 1
    assert int(select("k-center", pool, 1, quotas={0: 0}).indices) % 2 == 1
    # Something given: it goes on from there.
    assert select("k-center", pool, 3, first=7, given=[7]).indices[0] != 7


@pytest.mark.parametrize("first", ["middle", -1, 0.5, None, True])
def test_refuses_a_first_that_is_none(first):
    with pytest.raises(ArgumentError, match="first must be"):
        select("k-center", Pool(features=torch.eye(3)), 1, first=first)


def test_refuses_a_first_that_may_not_be_picked():
    pool = Pool(features=torch.eye(3), labels=[0, 0, 1])
    for arguments in ({"first": 3}, {"first": 1, "quotas": {0: 0}}):
        with pytest.raises(ArgumentError, match="is not a row that may be picked"):
            select("k-center", pool, 1, **arguments)


def test_copies_come_last_and_without_repeats():
    x = torch.cat([torch.zeros(4, 2), torch.eye(2), 3 * torch.eye(2)])
    picks = select("k-center", Pool(features=x), 8).indices.tolist()
    assert sorted(picks) == list(range(8))
    assert len(set(picks[-3:]) & {0, 1, 2, 3}) == 3


def test_stops_at_a_radius():
    x = data(60, 2, 3)
    whole = select("k-center", Pool(features=x), 60)
    wanted = radius(x, whole.indices[:9].tolist())
    coreset = select("k-center", Pool(features=x), 60, radius=wanted * 1.0000001)
    assert coreset.indices.tolist() == whole.indices[:9].tolist()
    # What is given already covers: nothing is picked.
    assert len(select("k-center", Pool(features=x), 60, radius=1e9, given=[0])) == 0


@pytest.mark.parametrize("wrong", [-1.0, float("inf"), float("nan")])
def test_refuses_a_bad_radius(wrong):
    with pytest.raises(ArgumentError, match="radius must be"):
        select("k-center", Pool(features=torch.eye(3)), 1, radius=wrong)


def test_float32_far_from_the_origin_gives_the_picks_of_double_precision():
    generator = torch.Generator().manual_seed(4)
    x = (torch.randn(3000, 16, generator=generator) + 50).float()
    single, double = (
        select("k-center", Pool(features=x.to(kind)), 300).indices.tolist()
        for kind in (torch.float32, torch.float64)
    )
    assert single == double
