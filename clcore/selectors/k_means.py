"""k-means: the sample nearest to each centroid.

Source: Lloyd 1982 with the seeding of Arthur & Vassilvitskii 2007; as a coreset baseline in Borsos
et al., NeurIPS 2020, and as an offline memory beside Chaudhry et al., "On tiny episodic memories in
continual learning", 2019.

Formula: minimise Σ_x w(x) min_c ‖ φ(x) − c ‖² over k centroids c; pick for each centroid the
nearest sample of its cluster. A cluster is a part of the pool, so no sample is picked twice, even
where two centroids have the same nearest sample. A centroid whose cluster has nothing left to pick
(all given, or an empty cluster because there are fewer distinct rows than k) takes the nearest
row that may still be picked.

`weights` are the cluster sizes (their total pool weight, where the pool has weights) and sum to the
size (total weight) of the pool. `gains` are zeros: the picks are made together. They are ordered
by weight, the heaviest first; a smaller coreset is not a prefix.

Defaults: one start, at most 100 iterations, tolerance 1e-4 (scikit-learn's), seeded from the
generator. `backend="scikit-learn"` is its `KMeans`, whose seeding tries 2 + log k draws a centroid
and so ends lower, but takes most of the time; `backend="faiss"` is our exact D² seeding followed by
faiss's iterations, which stop when nothing changes (it has no tolerance). `backend="auto"` takes
scikit-learn while n · k · d is below 10⁹ (about 3 CPU seconds) and faiss from there on. With quotas
each label is clustered on its own, with as even shares of `k` as the quotas and sizes allow; rows
of labels that got no share are counted with the nearest pick. Rows in `given` take part in the
clustering but are not picked.

Differences from reference codes: none known for the clustering; many codes pick the nearest sample
overall and return fewer than k where two centroids share it. faiss by itself starts from random
rows and takes at most 256 rows a centroid; here it starts from the seeding and takes all.

Expected numbers: on the 5,000 clustered rows of tests/clcore/selectors/test_expected_numbers.py,
500 picks leave a mean distance to the nearest of 8.65 (random 9.8). CPU seconds on one core and
mean squared distance to the centroid, scikit-learn | faiss with our seeding | faiss by itself (25
iterations), rows made the same way: 5,000 × 64, k = 500: 0.37, 57.6 | 0.04, 58.6 | 0.05, 61.4;
20,000 × 64, k = 200: 0.62, 69.1 | 0.21, 70.0 | 0.18, 81.9; 20,000 × 64, k = 2,000: 6.2, 54.1 |
1.3, 55.5 | 1.0, 58.0; 20,000 × 512, k = 200: 3.9, 512.1 | 0.50, 512.3 | 0.73, 582.7. With fewer
centroids than there are clusters a single start may end anywhere: 5,000 × 64, k = 50: 213 | 240 |
272.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from clcore.checks import whole_number
from clcore.coreset import Coreset
from clcore.errors import ArgumentError
from clcore.geometry import Points, as_matrix, seed_by_distance
from clcore.pool import Pool
from clcore.quotas import Allowance, fair_shares
from clcore.randomness import seed_from
from clcore.selector import Selector

Backend = Literal["auto", "scikit-learn", "faiss"]

LARGE = 10**9
"""n · k · d from which `backend="auto"` takes faiss."""


@dataclass(frozen=True)
class KMeans(Selector):
    """The sample nearest to each centroid, weighted by the size of its cluster.

    Args:
        iterations: The most Lloyd iterations.
        starts: How many seedings are tried; the best is kept.
        tolerance: Stop when the centroids move by less, relative to the variance of the features.
            scikit-learn's alone.
        backend: `"scikit-learn"`, `"faiss"`, or `"auto"` to choose by size.
    """

    iterations: int = 100
    starts: int = 1
    tolerance: float = 1e-4
    backend: Backend = "auto"

    weighted: ClassVar[bool] = True
    randomised: ClassVar[bool] = True

    def __post_init__(self) -> None:
        whole_number("iterations", self.iterations, least=1)
        whole_number("starts", self.starts, least=1)
        if not self.tolerance >= 0:
            raise ArgumentError(f"tolerance must be at least 0, not {self.tolerance!r}")
        if self.backend not in get_args(Backend):
            raise ArgumentError(
                f"backend must be 'auto', 'scikit-learn' or 'faiss', not {self.backend!r}"
            )

    def _select(
        self,
        pool: Pool,
        k: int,
        *,
        given: Tensor,
        allowance: Allowance,
        generator: torch.Generator,
    ) -> Coreset:
        features = as_matrix(pool.signal("features"))
        counts = torch.ones(len(pool), device=pool.device) if pool.weights is None else pool.weights
        parts = allowance.parts()
        shares = fair_shares(k, [capacity for _, capacity in parts])
        picks: list[int] = []
        weights: list[float] = []
        counted = torch.zeros(len(pool), dtype=torch.bool, device=pool.device)
        evaluations = 0
        for (rows, _), share in zip(parts, shares, strict=True):
            if share == 0:
                continue
            centroids, cluster, work = self._cluster(features[rows], counts[rows], share, generator)
            distances = (features[rows] - centroids[cluster]).square().sum(dim=1)
            chosen = _representatives(
                features[rows], centroids, cluster, distances, allowance.open[rows]
            )
            sizes = torch.zeros(share, dtype=torch.float64, device=pool.device)
            sizes.index_add_(0, cluster, counts[rows].to(torch.float64))
            picks += rows[chosen].tolist()
            weights += sizes.tolist()
            counted[rows] = True
            evaluations += work
        indices = torch.tensor(picks, device=pool.device)
        sizes = torch.tensor(weights, device=pool.device)
        if not bool(counted.all()):
            points = Points(features)
            _, place = points.nearest(indices)
            sizes.index_add_(0, place[~counted], counts[~counted].to(sizes.dtype))
            evaluations += points.evaluations
        order = torch.argsort(sizes, descending=True, stable=True)
        return Coreset.of(indices[order], weights=sizes[order], distance_evaluations=evaluations)

    def _cluster(
        self, features: Tensor, counts: Tensor, k: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, int]:
        """Return the centroids `[k, d]`, the cluster of each row `[n]` and the distances taken."""
        weights = counts if bool((counts != counts[0]).any()) else None
        large = len(features) * k * features.shape[1] >= LARGE
        if self.backend == "faiss" or (self.backend == "auto" and large):
            return self._with_faiss(features, weights, k, generator)
        return self._with_scikit_learn(features, weights, k, generator)

    def _with_faiss(
        self, features: Tensor, weights: Tensor | None, k: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, int]:
        import faiss

        # Single precision is all there is, so what all rows have in common is taken off.
        mean = features.mean(dim=0, dtype=torch.float64)
        rows = (features - mean).to("cpu", torch.float32).contiguous()
        data = rows.numpy()
        heft = None if weights is None else weights.to("cpu", torch.float32).numpy()
        tried, work = [], 0
        for _ in range(self.starts):
            points = Points(rows)
            seeds = seed_by_distance(
                points,
                k,
                allowance=Allowance(len(rows), rows.device),
                given=torch.empty(0, dtype=torch.int64),
                generator=generator,
                weights=None if heft is None else torch.from_numpy(heft),
                with_falls=False,
            ).rows
            clustering = faiss.Kmeans(
                data.shape[1],
                k,
                niter=self.iterations,
                seed=seed_from(generator),
                # All rows, and no warning where there are few of them.
                max_points_per_centroid=len(rows),
                min_points_per_centroid=1,
            )
            clustering.train(data, weights=heft, init_centroids=data[seeds.numpy()])
            errors = clustering.obj  # of every iteration
            assert errors is not None  # they are there once it is trained
            work += points.evaluations + len(rows) * k * len(errors)
            tried.append((float(errors[-1]), clustering))
        _, best = min(tried, key=lambda pair: pair[0])
        _, cluster = best.index.search(data, 1)
        centroids = torch.from_numpy(best.centroids).to(features.device) + mean
        nearest = torch.from_numpy(cluster[:, 0]).to(features.device)
        return centroids.to(features.dtype), nearest, work

    def _with_scikit_learn(
        self, features: Tensor, weights: Tensor | None, k: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, int]:
        from sklearn.cluster import KMeans as Lloyd
        from sklearn.exceptions import ConvergenceWarning

        clustering = Lloyd(
            k,
            n_init=self.starts,
            max_iter=self.iterations,
            tol=self.tolerance,
            random_state=seed_from(generator),
        )
        heft = None if weights is None else weights.cpu().numpy()
        with warnings.catch_warnings():
            # Fewer distinct rows than clusters: the empty ones are served in `_representatives`.
            warnings.simplefilter("ignore", ConvergenceWarning)
            clustering.fit(features.cpu().numpy(), sample_weight=heft)
        centroids = torch.as_tensor(clustering.cluster_centers_, dtype=features.dtype)
        cluster = torch.as_tensor(clustering.labels_, dtype=torch.int64)
        work = len(features) * k * (int(clustering.n_iter_) + 1)
        return centroids.to(features.device), cluster.to(features.device), work


def _representatives(
    features: Tensor, centroids: Tensor, cluster: Tensor, distances: Tensor, is_open: Tensor
) -> Tensor:
    """Return for each centroid the nearest open row of its cluster, else the nearest open row."""
    is_open = is_open.clone()
    chosen = torch.full((len(centroids),), -1, dtype=torch.int64, device=features.device)
    # Rows by cluster, within a cluster from the nearest: the first of each cluster is its pick.
    order = torch.argsort(distances, stable=True)
    order = order[is_open[order]]
    order = order[torch.argsort(cluster[order], stable=True)]
    places = cluster[order]
    leads = torch.ones_like(places, dtype=torch.bool)
    leads[1:] = places[1:] != places[:-1]
    chosen[places[leads]] = order[leads]
    is_open[chosen[chosen >= 0]] = False
    for place in (chosen < 0).nonzero().squeeze(1).tolist():
        away = (features - centroids[place]).square().sum(dim=1)
        row = int(torch.where(is_open, away, torch.inf).argmin())
        chosen[place] = row
        is_open[row] = False
    return chosen
