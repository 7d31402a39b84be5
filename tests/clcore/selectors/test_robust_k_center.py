"""k-center with outliers: brute force, what it is for, options."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clcore import ArgumentError, Pool, select


def brute(x, k, taken, ignored):
    """Pass over the farthest at each step, by the definition."""
    taken, picks = list(taken), []
    for _ in range(k):
        least = (x[:, None] - x[taken][None]).square().sum(dim=2).min(dim=1).values
        order = torch.argsort(-least, stable=True).tolist()
        usual = [row for row in order[ignored:] if row not in taken]
        resort = [row for row in order[:ignored] if row not in taken]
        picks.append(usual[0] if usual else resort[-1])
        taken.append(picks[-1])
    return picks


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(3, 20), st.integers(0, 8), st.integers(0, 99))
def test_is_brute_force(n, outliers, seed):
    x = torch.randn(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    outliers = min(outliers, n - 1)
    picks = select("robust-k-center", Pool(features=x), n, outliers=outliers).indices.tolist()
    assert picks[0] == int((x - x.mean(dim=0)).norm(dim=1).argmin())
    assert picks[1:] == brute(x, n - 1, picks[:1], outliers)
    again = select("robust-k-center", Pool(features=x), n, outliers=outliers, given=[1, 2])
    assert again.indices.tolist() == brute(x, n - 2, [1, 2], outliers)


def test_far_rows_are_passed_over():
    generator = torch.Generator().manual_seed(0)
    centres = 8 * torch.randn(10, 4, generator=generator)
    x = centres[torch.arange(2000) % 10] + torch.randn(2000, 4, generator=generator)
    far = 500 * torch.randn(20, 4, generator=generator)
    pool = Pool(features=torch.cat([x, far]))
    plain, robust = (
        select("k-center", pool, 50),
        select("robust-k-center", pool, 50, outliers=20),
    )
    assert int((plain.indices >= 2000).sum()) == 20
    assert int((robust.indices >= 2000).sum()) == 0
    near = [coreset.indices[coreset.indices < 2000] for coreset in (plain, robust)]
    radii = [float(torch.cdist(x, x[rows]).min(dim=1).values.max()) for rows in near]
    assert radii[1] < radii[0]


def test_without_outliers_it_is_k_center():
    pool = Pool(features=torch.randn(40, 3, generator=torch.Generator().manual_seed(1)))
    plain, robust = select("k-center", pool, 12), select("robust-k-center", pool, 12)
    assert robust.indices.tolist() == plain.indices.tolist()
    assert torch.equal(robust.gains, plain.gains)


def test_a_share_is_of_the_pool():
    pool = Pool(features=torch.randn(40, 3, generator=torch.Generator().manual_seed(2)))
    share, count = (select("robust-k-center", pool, 12, outliers=o) for o in (0.1, 4))
    assert share.indices.tolist() == count.indices.tolist()
    assert share.indices.tolist() != select("k-center", pool, 12).indices.tolist()


def test_more_outliers_than_rows_still_gives_k_picks():
    pool = Pool(features=torch.randn(6, 3, generator=torch.Generator().manual_seed(3)))
    picks = select("robust-k-center", pool, 6, outliers=50, quotas=None).indices
    assert sorted(picks.tolist()) == list(range(6))


@pytest.mark.parametrize("outliers", [-1, 1.0, -0.1, float("nan"), True, "few"])
def test_refuses_bad_outliers(outliers):
    with pytest.raises(ArgumentError, match="outliers must be"):
        select("robust-k-center", Pool(features=torch.eye(3)), 1, outliers=outliers)


def test_refuses_a_first_that_is_none():
    with pytest.raises(ArgumentError, match="first must be"):
        select("robust-k-center", Pool(features=torch.eye(3)), 1, first="middle")
