"""k-means: representatives, weights, quotas, degenerate data."""

import pytest
import torch

from clcore import ArgumentError, Pool, select
from clcore.selectors.k_means import _representatives


def blobs(sizes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    centres = 20 * torch.eye(len(sizes), dtype=torch.float64)
    parts = [
        centre + torch.randn(size, len(sizes), generator=generator, dtype=torch.float64)
        for centre, size in zip(centres, sizes, strict=True)
    ]
    return torch.cat(parts), torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))


@pytest.mark.parametrize("backend", ["auto", "scikit-learn", "faiss"])
def test_well_separated_clusters_are_found_and_counted(backend):
    x, which = blobs([30, 10, 20])
    coreset = select("k-means", Pool(features=x), 3, starts=5, backend=backend)
    assert which[coreset.indices].tolist() == [0, 2, 1]
    assert coreset.weights.tolist() == [30, 20, 10]
    for cluster, pick in zip((0, 2, 1), coreset.indices.tolist(), strict=True):
        rows = (which == cluster).nonzero().squeeze(1)
        distances = (x[rows] - x[rows].mean(dim=0)).norm(dim=1)
        assert pick == int(rows[distances.argmin()])


@pytest.mark.parametrize("backend", ["scikit-learn", "faiss"])
def test_pool_weights_are_what_is_counted(backend):
    x, which = blobs([4, 6])
    weights = torch.where(which == 0, 5.0, 1.0)
    pool = Pool(features=x, weights=weights)
    coreset = select("k-means", pool, 2, starts=3, backend=backend)
    assert coreset.weights.tolist() == [20, 6]


@pytest.mark.parametrize("k", [1, 5, 17, 40])
def test_weights_sum_to_the_pool_with_and_without_quotas(k):
    x, which = blobs([20, 10, 10])
    pool = Pool(features=x, labels=which)
    assert float(select("k-means", pool, k).weights.sum()) == 40
    coreset = select("k-means", pool, k, quotas={0: 2, 1: 2})
    assert float(coreset.weights.sum()) == 40
    assert len(coreset) == min(k, 14)
    assert len(set(coreset.indices.tolist())) == len(coreset)


def test_quotas_share_evenly():
    x, which = blobs([20, 10, 10])
    picks = select("k-means", Pool(features=x, labels=which), 9, quotas={0: 2}).indices
    assert torch.bincount(which[picks]).tolist() == [2, 4, 3]


@pytest.mark.parametrize("backend", ["scikit-learn", "faiss"])
def test_fewer_distinct_rows_than_picks(backend):
    x = torch.cat([torch.zeros(5, 2), torch.ones(3, 2)])
    coreset = select("k-means", Pool(features=x), 6, backend=backend)
    assert len(set(coreset.indices.tolist())) == 6
    assert float(coreset.weights.sum()) == 8


def test_given_rows_are_clustered_but_not_picked():
    x, which = blobs([5, 5])
    given = [0, 1, 2, 3, 4]
    coreset = select("k-means", Pool(features=x), 2, given=given, starts=3)
    assert which[coreset.indices].tolist() == [1, 1]
    assert float(coreset.weights.sum()) == 10


def test_two_centroids_with_one_nearest_sample():
    x = torch.tensor([[0.0], [1.0], [10.0]])
    centroids = torch.tensor([[0.1], [0.2]])
    chosen = _representatives(
        x, centroids, torch.tensor([0, 0, 0]), (x - 0.1).square()[:, 0], torch.ones(3).bool()
    )
    assert chosen.tolist() == [0, 1]


@pytest.mark.parametrize("backend", ["scikit-learn", "faiss"])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_is_near_the_best_of_all_clusterings(backend, offset):
    x = torch.randn(60, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    x += offset

    def error(picks):
        return float(torch.cdist(x, x[picks]).min(dim=1).values.square().mean())

    pool = Pool(features=x)
    ours = error(select("k-means", pool, 6, starts=5, backend=backend).indices)
    draws = [error(select("random", Pool(features=x), 6, seed=s).indices) for s in range(100)]
    assert ours < min(draws)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iterations": 0}, "iterations must be"),
        ({"starts": 0}, "starts must be"),
        ({"backend": "scipy"}, "backend must be"),
        ({"tolerance": -1.0}, "tolerance must be at least 0"),
        ({"tolerance": float("nan")}, "tolerance must be at least 0"),
    ],
)
def test_refuses_bad_options(options, message):
    with pytest.raises(ArgumentError, match=message):
        select("k-means", Pool(features=torch.eye(3)), 1, **options)


def test_auto_is_a_matter_of_size(monkeypatch):
    x, _ = blobs([40, 30, 30], seed=2)

    def picks(backend):
        coreset = select("k-means", Pool(features=x), 12, backend=backend)
        return coreset.indices.tolist(), coreset.cost.distance_evaluations

    small, by_faiss = picks("scikit-learn"), picks("faiss")
    assert small != by_faiss
    assert picks("auto") == small
    monkeypatch.setattr("clcore.selectors.k_means.LARGE", 100 * 12 * 3)
    assert picks("auto") == by_faiss


def test_faiss_is_as_good_from_our_seeding_as_scikit_learn_from_its_own():
    generator = torch.Generator().manual_seed(5)
    centres = 3 * torch.randn(40, 16, generator=generator)
    x = centres[torch.arange(3000) % 40] + torch.randn(3000, 16, generator=generator)
    pool, errors = Pool(features=x), {}
    for backend in ("scikit-learn", "faiss"):
        picks = select("k-means", pool, 120, backend=backend).indices
        errors[backend] = float(torch.cdist(x, x[picks]).min(dim=1).values.square().mean())
    assert errors["faiss"] < 1.05 * errors["scikit-learn"]
