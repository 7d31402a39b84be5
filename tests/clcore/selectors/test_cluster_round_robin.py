"""Cluster round-robin: turns, what is best within a cluster, given rows, faiss."""

import pytest
import torch

from clcore import ArgumentError, Pool, select
from clcore.selectors import _clusters

SIZES = [40, 10, 20, 3]


def blobs(seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    centres = 50 * torch.eye(len(SIZES), dtype=dtype)
    parts = [
        centre + torch.randn(size, len(SIZES), generator=generator, dtype=dtype)
        for centre, size in zip(centres, SIZES, strict=True)
    ]
    return torch.cat(parts), torch.repeat_interleave(torch.arange(len(SIZES)), torch.tensor(SIZES))


def turns(which, pool, k, **options):
    picks = select("cluster-round-robin", pool, k, **options).indices
    return which[picks].tolist()


def test_clusters_have_their_turns_by_size():
    x, which = blobs()
    pool = Pool(features=x)
    assert turns(which, pool, 9, clusters=4, minimum_size=0) == [0, 2, 1, 3] * 2 + [0]
    smallest = turns(which, pool, 9, clusters=4, minimum_size=0, order="smallest")
    assert smallest == [3, 1, 2, 0] * 2 + [3]


def test_small_clusters_come_after_all_others():
    x, which = blobs()
    order = turns(which, Pool(features=x), 73, clusters=4)
    assert 3 not in order[:70]
    assert order[70:] == [3, 3, 3]


def test_given_rows_are_the_first_of_their_cluster():
    x, which = blobs()
    order = turns(which, Pool(features=x), 4, clusters=4, minimum_size=0, given=[0, 1, 40])
    assert order == [2, 3, 2, 1]


def test_by_default_there_is_a_cluster_for_each_pick_and_given_row():
    x, which = blobs()
    assert sorted(turns(which, Pool(features=x), 4, minimum_size=0)) == [0, 1, 2, 3]
    assert sorted(turns(which, Pool(features=x), 3, minimum_size=0, given=[0])) == [1, 2, 3]


def test_typicality_is_the_inverse_of_the_mean_distance_to_neighbours():
    x, which = blobs()
    picks = select("cluster-round-robin", Pool(features=x), 3, clusters=4).indices.tolist()
    for label, count in ((0, 20), (2, 10), (1, 5)):
        rows = (which == label).nonzero().squeeze(1)
        pairs = torch.cdist(x[rows], x[rows]).sort(dim=1).values[:, 1 : count + 1]
        assert int(rows[pairs.mean(dim=1).argmin()]) == picks[(0, 2, 1).index(label)]


@pytest.mark.parametrize("within", ["nearest", "farthest"])
def test_distance_to_the_centroid(within):
    x, which = blobs()
    pool = Pool(features=x)
    picks = select("cluster-round-robin", pool, 3, clusters=4, within=within).indices.tolist()
    for label, pick in zip((0, 2, 1), picks, strict=True):
        rows = (which == label).nonzero().squeeze(1)
        away = (x[rows] - x[rows].mean(dim=0)).norm(dim=1)
        assert pick == int(rows[away.argmin() if within == "nearest" else away.argmax()])


def test_scores_and_chance_within_a_cluster():
    x, which = blobs()
    losses = torch.rand(len(x), generator=torch.Generator().manual_seed(3))
    pool = Pool(features=x, losses=losses)
    options = {"clusters": 4, "within": "scores", "by": "losses"}
    picks = select("cluster-round-robin", pool, 3, **options).indices.tolist()
    assert picks == [int(torch.where(which == label, losses, -1).argmax()) for label in (0, 2, 1)]
    drawn = {
        tuple(
            select(
                "cluster-round-robin", pool, 3, clusters=4, within="random", seed=s
            ).indices.tolist()
        )
        for s in range(10)
    }
    assert len(drawn) > 5


def test_prefixes_with_clusters_of_ones_own():
    x, _ = blobs()
    pool = Pool(features=x)
    many = select("cluster-round-robin", pool, 20, clusters=5).indices.tolist()
    few = select("cluster-round-robin", pool, 8, clusters=5).indices.tolist()
    assert few == many[:8]


def test_fewer_distinct_rows_than_clusters():
    x = torch.cat([torch.zeros(5, 2), torch.ones(3, 2)])
    assert len(select("cluster-round-robin", Pool(features=x), 7)) == 7


def test_faiss_gives_a_partition_by_nearest_centroid(monkeypatch):
    monkeypatch.setattr(_clusters, "SMALL", 0)
    x, _ = blobs(dtype=torch.float32)
    for seed in range(3):
        found = _clusters.clusters(x, 8, torch.Generator().manual_seed(seed))
        assert found.centroids.shape == (8, 4)
        nearest = torch.cdist(x, found.centroids).argmin(dim=1)
        assert torch.equal(found.of, nearest)
        again = _clusters.clusters(x, 8, torch.Generator().manual_seed(seed))
        assert torch.equal(found.of, again.of)


def test_options_are_checked():
    x, _ = blobs()
    for options in ({"clusters": 0}, {"within": "best"}, {"order": "up"}):
        with pytest.raises(ArgumentError, match=next(iter(options))):
            select("cluster-round-robin", Pool(features=x), 3, **options)
