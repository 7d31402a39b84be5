"""Cluster and keep: data for a diffusion model, pruned to equal parts of k-means clusters.

Source: Briq et al., "Data pruning in generative diffusion models", 2024 (arXiv 2411.12523): of the
rules that they compare for latent diffusion, clusters of embeddings with an equal cap each do best,
and even out unequal data on the way.

Formula: k-means on the embeddings; from each cluster in turn a row, by `rule`, until there are
round(keep · n): the caps are equal, and what small clusters leave goes to the others. It is the
selector `cluster-round-robin` with clusters of its own number and no least size.

Defaults: 100 clusters, `rule="random"`. `pruning_table` shows the rules beside others on given
embeddings, by figures that need no training.

Differences from reference codes: there are none known.

Expected numbers: on the digits with classes in proportions 1 to 10, see docs/generative.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import Subset

from clcore.checks import integer_column, whole_number
from clcore.errors import ArgumentError
from clcore.geometry import Points, as_matrix
from clcore.pool import Pool
from clcore.selector import Selector
from clcore.selectors.cluster_round_robin import ClusterRoundRobin
from clcore.selectors.instance_selection import InstanceSelection
from clcore.selectors.k_center import KCenter
from clcore.selectors.kernel_herding import KernelHerding
from clcore.selectors.random import Random
from strategies.generative.batch_statistics import Moments, count_dispersion, frechet_distance
from strategies.generative.embeddings import Embeddings, vectors_for

Rule = Literal["random", "nearest", "farthest", "typicality"]


def prune_by_cluster(
    data: Any,
    embeddings: Embeddings | Tensor | Any,
    keep: float = 0.5,
    *,
    clusters: int = 100,
    rule: Rule = "random",
    seed: int = 0,
) -> Subset[Any]:
    """Keep an equal part of every cluster.

    Args:
        data: A map-style data set.
        embeddings: Of the same rows: `Embeddings`, whose checksum is compared, or vectors `[n, d]`.
        keep: The share that is kept, above 0 and at most 1.
        clusters: How many.
        rule: Which rows of a cluster go first: `"random"` ones, those `"nearest"` to or
            `"farthest"` from the centroid, or those with near neighbours (`"typicality"`).
        seed: Of k-means and of the random rule.

    Returns:
        The subset, in the order of the data set: `round(keep * n)` rows, at least one.

    Raises:
        ArgumentError: If the embeddings are of other data, or an argument is wrong.
    """
    count = kept_rows(keep, len(data))
    vectors = vectors_for(data, embeddings)
    method = cluster_rule(rule, clusters)
    generator = torch.Generator().manual_seed(whole_number("seed", seed))
    picks = method.select(Pool(features=vectors), count, generator=generator).indices
    return Subset(data, picks.sort().values.tolist())


def cluster_rule(rule: Rule, clusters: int) -> ClusterRoundRobin:
    """Return the selector of a rule."""
    return ClusterRoundRobin(clusters=clusters, within=rule, minimum_size=0)


@dataclass(frozen=True)
class Pruned:
    """What a rule keeps.

    Attributes:
        rule: Its name.
        frechet_distance: Of the kept rows to all.
        radius: Mean distance of all rows to the nearest kept one: what is lost.
        dispersion: Of the class counts, see `count_dispersion`; NaN without labels.
        smallest_class: Share of the rows of the smallest class that are kept; NaN without labels.
    """

    rule: str
    frechet_distance: float
    radius: float
    dispersion: float
    smallest_class: float


def pruning_table(
    embeddings: Embeddings | Tensor | Any,
    keep: float = 0.5,
    *,
    labels: Any = None,
    clusters: int = 100,
    seed: int = 0,
    selectors: Mapping[str, Selector] | None = None,
) -> list[Pruned]:
    """Compare pruning rules by what they keep.

    Args:
        embeddings: Of a data set.
        keep: The share that is kept, above 0 and at most 1.
        labels: Integers `[n]`, to see what becomes of the classes; the rules don't see them.
        clusters: Of the cluster rules.
        seed: Of all that is random.
        selectors: By name, in place of the usual ones.

    Returns:
        A row for each rule.

    Raises:
        ArgumentError: If an argument is wrong.
    """
    vectors = as_matrix(vectors_for(None, embeddings))
    count = kept_rows(keep, len(vectors))
    column = None if labels is None else integer_column("labels", labels, len(vectors))
    rules: Mapping[str, Selector] = selectors or {
        "random": Random(),
        "clusters, random": cluster_rule("random", clusters),
        "clusters, nearest": cluster_rule("nearest", clusters),
        "clusters, farthest": cluster_rule("farthest", clusters),
        "densest": InstanceSelection(per_label=False),
        "k-center": KCenter(),
        "kernel herding": KernelHerding(references=1000),
    }
    whole, pool, points = Moments.of(vectors), Pool(features=vectors), Points(vectors)
    table = []
    for name, method in rules.items():
        picks = method.select(pool, count, generator=torch.Generator().manual_seed(seed)).indices
        dispersion = smallest = float("nan")
        if column is not None:
            every = torch.bincount(column)
            kept = torch.bincount(column[picks], minlength=len(every))[every > 0]
            least = int(every[every > 0].argmin())
            dispersion = count_dispersion(kept)
            smallest = float(kept[least] / every[every > 0][least])
        far = float(points.nearest(picks)[0].sqrt().mean())
        distance = frechet_distance(vectors[picks], whole) if count > 1 else float("nan")
        table.append(Pruned(name, distance, far, dispersion, smallest))
    return table


def kept_rows(keep: float, rows: int) -> int:
    """Return how many rows a share is.

    Raises:
        ArgumentError: If the share is not above 0 and at most 1.
    """
    if isinstance(keep, bool) or not isinstance(keep, int | float) or not 0 < keep <= 1:
        raise ArgumentError(f"keep must be above 0 and at most 1, not {keep!r}")
    return max(1, round(keep * rows))
