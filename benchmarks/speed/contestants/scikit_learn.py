"""scikit-learn and faiss: seeding, k-means, matching pursuit."""

from __future__ import annotations

import faiss
import numpy as np
from sklearn.cluster import KMeans, kmeans_plusplus
from sklearn.linear_model import orthogonal_mp_gram
from sklearn.metrics import pairwise_distances_argmin

from benchmarks.speed.contestants.pursuit import multiplied_out
from benchmarks.speed.side_by_side.problem import Answer, Problem


def seeding(problem: Problem) -> Answer:
    """k-means++ as it comes: the best of 2 + log k draws at each step."""
    _, picks = kmeans_plusplus(problem.features, problem.k, random_state=problem.seed)
    return Answer.of(picks)


def seeding_one_trial(problem: Problem) -> Answer:
    """k-means++ with one draw a step, the paper's distribution."""
    _, picks = kmeans_plusplus(
        problem.features, problem.k, random_state=problem.seed, n_local_trials=1
    )
    return Answer.of(picks)


def k_means(problem: Problem) -> Answer:
    """The rows nearest to the centroids, 25 rounds from k-means++."""
    model = KMeans(problem.k, n_init=1, max_iter=25, random_state=problem.seed)
    model.fit(problem.features)
    return Answer.of(pairwise_distances_argmin(model.cluster_centers_, problem.features))


def k_means_faiss(problem: Problem) -> Answer:
    """The rows nearest to the centroids, 25 rounds of faiss from random rows."""
    n, d = problem.features.shape
    model = faiss.Kmeans(d, problem.k, niter=25, seed=problem.seed + 1, max_points_per_centroid=n)
    model.train(problem.features)
    index = faiss.IndexFlatL2(d)
    index.add(problem.features)
    _, nearest = index.search(np.asarray(model.centroids), 1)
    return Answer.of(nearest)


def pursuit(problem: Problem) -> Answer:
    """Orthogonal matching pursuit with weights of either sign, on gradients multiplied out."""
    matrix = multiplied_out(problem)
    target = matrix.sum(axis=0)
    coefficients = orthogonal_mp_gram(
        matrix @ matrix.T, matrix @ target, n_nonzero_coefs=problem.k, copy_Gram=False
    )
    picks = np.flatnonzero(coefficients)
    return Answer.of(picks, coefficients[picks])
