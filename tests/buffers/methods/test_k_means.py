"""Online k-means memories against a slow sequential reference in double precision."""

import numpy as np
import pytest
import torch

from buffers import KMeansBuffer
from clcore.errors import ArgumentError
from clcore.quotas import fair_shares


def slow_k_means(features, labels, size, total=None):
    """Row by row as the paper says; clusters are [label, centroid, count, exemplar row]."""
    x = features.double().numpy()
    clusters, known = [], []
    for row, label in enumerate(labels.tolist()):
        if label not in known:
            known.append(label)
        sizes = {c: sum(cluster[0] == c for cluster in clusters) for c in known}
        limit = size
        if total is not None:
            limit = fair_shares(size, [size] * total)[known.index(label)]
        own = [cluster for cluster in clusters if cluster[0] == label]
        new = [label, x[row].copy(), 1, row]
        if len(clusters) < size and sizes[label] < limit:
            clusters.append(new)
        elif total is None and sizes[label] + 2 <= max(sizes.values()):
            largest = min(c for c in known if sizes[c] == max(sizes.values()))
            places = [i for i, cluster in enumerate(clusters) if cluster[0] == largest]
            clusters[min(places, key=lambda i: (clusters[i][2], i))] = new
        elif own:
            nearest = min(own, key=lambda cluster: np.sum((x[row] - cluster[1]) ** 2))
            nearest[2] += 1
            nearest[1] += (x[row] - nearest[1]) / nearest[2]
            old = np.sum((x[nearest[3]] - nearest[1]) ** 2)
            if np.sum((x[row] - nearest[1]) ** 2) < old * (1 - 1e-5):
                nearest[3] = row
    return clusters


def check(buffer, clusters):
    store = buffer.store
    assert store.born.tolist() == [cluster[3] for cluster in clusters]
    assert store.y.tolist() == [cluster[0] for cluster in clusters]
    count = len(store)
    assert store.extra["members"][:count].tolist() == [cluster[2] for cluster in clusters]
    expected = torch.from_numpy(np.stack([cluster[1] for cluster in clusters]))
    torch.testing.assert_close(
        store.extra["centroid"][:count].double(), expected, rtol=1e-5, atol=1e-5
    )


STREAMS = {
    "mixed": lambda n: torch.randint(0, 4, (n,), generator=torch.Generator().manual_seed(1)),
    "one after the other": lambda n: torch.arange(n) * 4 // n,
    "long tail": lambda n: (torch.arange(n) % 10).clamp(min=6) - 6,
}


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("batch", [1, 10, 1000])
@pytest.mark.parametrize("total", [None, 4, 6])
def test_same_as_the_sequential_reference(stream, batch, total):
    n = 160 if batch == 1 else 600
    features = torch.randn(n, 5, generator=torch.Generator().manual_seed(2)) + 3
    y = STREAMS[stream](n)
    buffer = KMeansBuffer(22, total_classes=total)
    for rows in torch.arange(n).split(batch):
        buffer.add(features[rows], y[rows], features=features[rows])
    check(buffer, slow_k_means(features, y, 22, total))
    assert torch.equal(buffer.all().x, features[buffer.store.born])


def test_blocks_of_a_large_batch_join():
    features = torch.randn(1500, 3, generator=torch.Generator().manual_seed(2))
    y = torch.zeros(1500, dtype=torch.int64)
    buffer = KMeansBuffer(7)
    buffer.add(features, y, features=features)
    check(buffer, slow_k_means(features, y, 7))
    assert int(buffer.store.extra["members"].sum()) == 1500


def test_exemplars_lie_nearer_to_their_centroids_than_random_rows():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2000, 8, generator=generator)
    buffer = KMeansBuffer(20)
    buffer.add(features, torch.zeros(2000, dtype=torch.int64), features=features)
    centroid = buffer.store.extra["centroid"]
    own = (buffer.all().columns["features"] - centroid).norm(dim=1).mean()
    any_row = torch.cdist(features, centroid).min(dim=1).values.mean()
    assert own < 0.6 * any_row


def test_features_far_from_the_origin():
    generator = torch.Generator().manual_seed(0)
    centers = torch.tensor([[0.0], [1.0], [2.0]]).repeat(1, 4) + 500
    group = torch.arange(300) % 3
    features = centers[group] + 0.01 * torch.randn(300, 4, generator=generator)
    y = torch.zeros(300, dtype=torch.int64)
    buffer = KMeansBuffer(3)
    buffer.add(features, y, features=features)
    check(buffer, slow_k_means(features, y, 3))
    assert buffer.store.extra["members"].tolist() == [100, 100, 100]


def test_raw_vectors_and_images_as_features():
    x = torch.randint(0, 256, (60, 1, 2, 2), dtype=torch.uint8)
    buffer = KMeansBuffer(6, features="input")
    buffer.add(x, torch.arange(60) % 2)
    assert torch.equal(
        buffer.store.extra["features"][:6], x[buffer.store.born].flatten(1).float() / 255
    )


def test_features_count_as_bytes():
    plain = KMeansBuffer(10)
    plain.add(torch.rand(40, 2), torch.arange(40) % 2, features=torch.rand(40, 100))
    assert plain.nbytes == 10 * (2 * 4 + 2 * 400 + 8 + 28)


def test_shrinking_keeps_the_largest_clusters():
    features = torch.randn(300, 4, generator=torch.Generator().manual_seed(2))
    buffer = KMeansBuffer(20)
    buffer.add(features, torch.arange(300) % 2, features=features)
    before = {
        label: buffer.store.extra["members"][buffer.store.y == label].sort(descending=True).values
        for label in (0, 1)
    }
    buffer.resize(None, 7)
    assert buffer.class_counts() == {0: 4, 1: 3}
    for label, share in ((0, 4), (1, 3)):
        kept = buffer.store.extra["members"][buffer.store.y == label]
        assert kept.sort(descending=True).values.tolist() == before[label][:share].tolist()


def test_one_class_too_many():
    buffer = KMeansBuffer(10, total_classes=2, features="input")
    buffer.add(torch.rand(2, 3), torch.tensor([4, 7]))
    with pytest.raises(ArgumentError, match="y: class 5 is one more than the 2 announced"):
        buffer.add(torch.rand(2, 3), torch.tensor([7, 5]))
    assert buffer.seen == 2


@pytest.mark.parametrize("total", [0, 11, 2.0])
def test_wrong_number_of_classes(total):
    with pytest.raises(ArgumentError, match="total_classes"):
        KMeansBuffer(10, total_classes=total)
