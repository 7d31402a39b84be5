"""Cluster and keep: equal caps, rules, the table of rules."""

import math

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from clcore import ArgumentError
from strategies.generative import Embeddings, prune_by_cluster, pruning_table

CENTRES = torch.tensor([[0.0, 0.0], [20.0, 0.0], [0.0, 20.0]])


def unequal(sizes=(60, 30, 10), seed=0):
    labels = torch.repeat_interleave(torch.arange(3), torch.tensor(sizes))
    noise = torch.randn(len(labels), 2, generator=torch.Generator().manual_seed(seed))
    return CENTRES[labels] + noise, labels


@pytest.mark.parametrize("rule", ["random", "nearest", "farthest", "typicality"])
def test_caps_are_equal_and_small_clusters_leave_room(rule):
    x, labels = unequal()
    whole = TensorDataset(x, labels)
    kept = prune_by_cluster(whole, x, 0.3, clusters=3, rule=rule)
    assert torch.bincount(labels[kept.indices]).tolist() == [10, 10, 10]
    assert kept.indices == sorted(kept.indices)
    more = prune_by_cluster(whole, x, 0.5, clusters=3, rule=rule)
    assert torch.bincount(labels[more.indices]).tolist() == [20, 20, 10]


def test_nearest_and_farthest_are_what_they_say():
    x, labels = unequal()
    whole = TensorDataset(x, labels)
    centroids = torch.stack([x[labels == label].mean(dim=0) for label in range(3)])
    far = (x - centroids[labels]).norm(dim=1)
    nearest = prune_by_cluster(whole, x, 0.3, clusters=3, rule="nearest").indices
    farthest = prune_by_cluster(whole, x, 0.3, clusters=3, rule="farthest").indices
    for label in (0, 1):
        mine = [row for row in nearest if labels[row] == label]
        others = [row for row in farthest if labels[row] == label]
        ordered = far[labels == label].sort().values
        assert far[mine].max() == ordered[9]
        assert far[others].min() == ordered[-10]


def test_seeds_repeat():
    x, labels = unequal()
    whole = TensorDataset(x, labels)
    first, again, other = (
        prune_by_cluster(whole, x, 0.3, clusters=3, seed=seed).indices for seed in (0, 0, 1)
    )
    assert first == again != other


def test_the_table():
    x, labels = unequal()
    table = {row.rule: row for row in pruning_table(x, 0.3, labels=labels, clusters=3)}
    assert table["clusters, random"].dispersion == 0
    assert table["clusters, random"].smallest_class == 1
    assert table["random"].dispersion > 0.2
    assert table["k-center"].radius == min(row.radius for row in table.values())
    assert table["kernel herding"].frechet_distance < table["k-center"].frechet_distance
    assert all(math.isnan(row.dispersion) for row in pruning_table(x, 0.3, clusters=3))


def test_bad_input():
    x, labels = unequal()
    whole = TensorDataset(x, labels)
    for keep in (0, 1.1, True, "half"):
        with pytest.raises(ArgumentError, match="keep must be above 0"):
            prune_by_cluster(whole, x, keep)
    with pytest.raises(ArgumentError, match="another data set"):
        prune_by_cluster(whole, x[:5])
    with pytest.raises(ArgumentError, match="checksum"):
        prune_by_cluster(whole, Embeddings.of(x + 1, nn.Identity()))
    with pytest.raises(ArgumentError, match="within must be"):
        prune_by_cluster(whole, x, rule="best")
    with pytest.raises(ArgumentError, match="clusters must be"):
        prune_by_cluster(whole, x, clusters=0)
