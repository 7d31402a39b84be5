"""A partition of the rows by k-means, for the methods that pick from clusters."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from clcore.randomness import seed_from

SMALL = 200_000_000
"""Multiplications an iteration up to which scikit-learn's k-means, with its better seeding, is
quick; beyond, faiss is several times faster (measured)."""

ITERATIONS = 25


@dataclass(frozen=True)
class Clusters:
    """A partition of the rows.

    Attributes:
        of: int64 `[n]`: the cluster of each row.
        centroids: `[c, d]`, on the device and of the type of the features.
        evaluations: How many distances were computed.
    """

    of: Tensor
    centroids: Tensor
    evaluations: int


def clusters(features: Tensor, count: int, generator: torch.Generator) -> Clusters:
    """Cluster rows by k-means, on the CPU.

    Args:
        features: float32 or float64 `[n, d]`.
        count: How many clusters; no more than rows are made, and some stay empty where there are
            fewer distinct rows.
        generator: What the seed is drawn from.

    Returns:
        The partition.
    """
    count, seed = min(count, len(features)), seed_from(generator)
    if features.numel() * count <= SMALL:
        return _lloyd(features, count, seed)
    return _by_faiss(features, count, seed)


def _lloyd(features: Tensor, count: int, seed: int) -> Clusters:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    clustering = KMeans(count, n_init=1, max_iter=4 * ITERATIONS, random_state=seed)
    with warnings.catch_warnings():
        # Fewer distinct rows than clusters: some stay empty, which every caller allows.
        warnings.simplefilter("ignore", ConvergenceWarning)
        clustering.fit(features.cpu().numpy())
    work = len(features) * count * (int(clustering.n_iter_) + 1)
    found = torch.as_tensor(clustering.labels_, dtype=torch.int64, device=features.device)
    return Clusters(found, torch.as_tensor(clustering.cluster_centers_).to(features), work)


def _by_faiss(features: Tensor, count: int, seed: int) -> Clusters:
    import faiss

    matrix = features.to(torch.float32).cpu().numpy()
    # Fewer rows a cluster than faiss recommends are no mistake here: it need not say so.
    clustering = faiss.Kmeans(
        matrix.shape[1], count, niter=ITERATIONS, seed=seed, min_points_per_centroid=1
    )
    clustering.train(matrix)
    found = torch.as_tensor(clustering.assign(matrix)[1], dtype=torch.int64)
    used = min(len(matrix), count * int(clustering.cp.max_points_per_centroid))
    work = count * (used * ITERATIONS + len(matrix))
    centroids = torch.as_tensor(clustering.centroids).to(features)
    return Clusters(found.to(features.device), centroids, work)
