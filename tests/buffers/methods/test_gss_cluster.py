"""GSS-Clust: centroids against a slow sequential reading."""

import numpy as np
import pytest
import torch

from buffers.gss_cluster import centroids


def cosine(a, b):
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def gram(n, p, seed):
    rows = torch.nn.functional.normalize(
        torch.randn(n, p, generator=torch.Generator().manual_seed(seed)), dim=1
    )
    return rows @ rows.T


def slow_centroids(distance, k, first):
    """First come, first a centroid; the radius grows by 1 % until no more than k are left."""
    n = len(distance)
    radius = min(distance[i][j] for i in range(n) for j in range(i) if distance[i][j] > 0)
    while True:
        radius *= 1.01
        chosen = [first]
        for row in range(n):
            if min(distance[row][c] for c in chosen) > radius:
                chosen.append(row)
        if len(chosen) <= k:
            break
    rest = [row for row in range(n) if row not in chosen]
    rest.sort(key=lambda row: -min(distance[row][c] for c in chosen))
    return sorted(chosen + rest[: k - len(chosen)]), radius


@pytest.mark.parametrize("seed", range(6))
def test_centroids_are_as_a_slow_reading_says(seed):
    cosine = gram(20, 4, seed)
    chosen, radius = centroids(cosine, 12, 0.0, torch.Generator().manual_seed(seed))
    first = int(torch.randint(20, (1,), generator=torch.Generator().manual_seed(seed)))
    distance = (1 - cosine.double()).clamp(min=0).fill_diagonal_(0).tolist()
    expected, slow_radius = slow_centroids(distance, 12, first)
    assert chosen.tolist() == expected
    assert radius == pytest.approx(slow_radius)
    # Nobody outside the radius of all exemplars: nothing changes.
    again, same = centroids(cosine, 12, 2.5, torch.Generator())
    assert (again.tolist(), same) == (list(range(12)), 2.5)


def test_centroids_of_equal_gradients():
    chosen, radius = centroids(torch.ones(9, 9), 5, 0.0, torch.Generator())
    assert (chosen.tolist(), radius) == (list(range(5)), 0.0)
    doubled = gram(5, 3, 0).repeat(2, 2)
    assert len(centroids(doubled, 5, 0.0, torch.Generator())[0].unique()) == 5
