"""Exact Shapley values of a k-nearest-neighbour classifier, in closed form.

Source: Jia et al., "Efficient task-specific data valuation for nearest neighbor algorithms", VLDB
2019, theorem 1. The utility of a set S of candidates for an evaluation point e is the likelihood
that its k nearest members give to e's label,

    v(S) = (1/k) Σ_{i ≤ min(k, |S|)} 1[y of the i-th nearest of S = y_e],

and with all N candidates sorted by distance from e, nearest first, the Shapley values are

    s_m = Σ_{j ≥ m} (1[y_j = y_e] − 1[y_{j+1} = y_e]) min(k, j) / (k j),    1[y_{N+1} = y_e] = 0:

one sort and one cumulative sum for each evaluation point. For N ≥ k the farthest gets
1[y_N = y_e] / N as in the paper; for N < k, which the paper leaves out, it gets 1[y_N = y_e] / k,
so that the values still sum to v of all candidates.

O(E N (d + log N)) time for E points, in blocks of points, so O(N) memory beside the answer. Of
equally far candidates the first counts as nearer. Values are float64: candidates are compared by
sums of many small fractions.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from clcore.checks import integer_column, require_finite, whole_number
from clcore.errors import ArgumentError
from clcore.geometry.matrix import as_matrix
from clcore.geometry.points import BLOCK_BYTES

# Numbers of eight bytes that a block holds for each pair: distances, order, matches, values, …
_PER_PAIR = 6


def knn_shapley(
    candidates: Tensor, labels: Tensor, points: Tensor, point_labels: Tensor, k: int = 5
) -> Tensor:
    """Compute the value of every candidate for every evaluation point.

    Args:
        candidates: Features `[N, ...]`.
        labels: Their classes, int64 `[N]`.
        points: Features of the evaluation points `[E, ...]`, of the same width.
        point_labels: Their classes, int64 `[E]`.
        k: Neighbours that the classifier asks.

    Returns:
        float64 `[E, N]`; row e sums to the utility of all candidates for point e.

    Raises:
        ArgumentError: There is no candidate, the parts don't fit, or `k` is not positive.
        SignalError: A feature is NaN or infinite.
    """
    parts = list(knn_shapley_blocks(candidates, labels, points, point_labels, k))
    none = torch.empty((0, len(candidates)), dtype=torch.float64, device=candidates.device)
    return torch.cat(parts) if parts else none


def mean_knn_shapley(
    candidates: Tensor, labels: Tensor, points: Tensor, point_labels: Tensor, k: int = 5
) -> Tensor:
    """Compute each candidate's mean value over the evaluation points, block by block.

    Args:
        candidates: Features `[N, ...]`.
        labels: Their classes, int64 `[N]`.
        points: Features of at least one evaluation point `[E, ...]`.
        point_labels: Their classes, int64 `[E]`.
        k: Neighbours that the classifier asks.

    Returns:
        float64 `[N]`; they sum to the mean utility of all candidates.

    Raises:
        ArgumentError: There is no candidate or no point, the parts don't fit, or `k` is not
            positive.
        SignalError: A feature is NaN or infinite.
    """
    if len(points) == 0:
        raise ArgumentError("points: there are none; a mean over none is not defined")
    total = torch.zeros(len(candidates), dtype=torch.float64, device=candidates.device)
    for values in knn_shapley_blocks(candidates, labels, points, point_labels, k):
        total += values.sum(dim=0)
    return total / len(points)


def knn_shapley_blocks(
    candidates: Tensor, labels: Tensor, points: Tensor, point_labels: Tensor, k: int = 5
) -> Iterator[Tensor]:
    """Compute values as `knn_shapley` does, some evaluation points at a time.

    Args:
        candidates: Features `[N, ...]`.
        labels: Their classes, int64 `[N]`.
        points: Features of the evaluation points `[E, ...]`.
        point_labels: Their classes, int64 `[E]`.
        k: Neighbours that the classifier asks.

    Yields:
        float64 `[b, N]`, the points in order.

    Raises:
        ArgumentError: There is no candidate, the parts don't fit, or `k` is not positive.
        SignalError: A feature is NaN or infinite.
    """
    k = whole_number("k", k, least=1)
    if len(candidates) == 0:
        raise ArgumentError("candidates: there are none; at least one is needed")
    near, far = _shared_type(as_matrix(candidates), as_matrix(points))
    if len(far) and near.shape[1] != far.shape[1]:
        raise ArgumentError(
            f"points: rows have {far.shape[1]} features, but candidates have {near.shape[1]}"
        )
    require_finite("candidates", near)
    require_finite("points", far)
    y = integer_column("labels", labels, len(near)).to(near.device)
    point_y = integer_column("point_labels", point_labels, len(far)).to(near.device)
    centre = near.mean(dim=0)
    near, far = near - centre, far - centre
    place = torch.arange(1, len(near) + 1, dtype=torch.float64, device=near.device)
    factors = place.clamp(max=k) / (k * place)
    rows = max(1, BLOCK_BYTES // (8 * _PER_PAIR * len(near)))
    for start in range(0, len(far), rows):
        block = slice(start, start + rows)
        yield _values(near, y, far[block], point_y[block], factors)


def _values(
    candidates: Tensor, labels: Tensor, points: Tensor, point_labels: Tensor, factors: Tensor
) -> Tensor:
    # The point's own square is the same for all its candidates and changes no order.
    lengths = candidates.square().sum(dim=1)
    distances = torch.addmm(lengths, points, candidates.t(), alpha=-2.0)
    order = distances.argsort(dim=1, stable=True)
    match = (labels[order] == point_labels.unsqueeze(1)).to(torch.float64)
    steps = match.clone()
    steps[:, :-1] -= match[:, 1:]
    values = (steps * factors).flip(1).cumsum(dim=1).flip(1)
    return torch.empty_like(values).scatter_(1, order, values)


def _shared_type(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Both on one device, in double precision unless there are too many numbers for it."""
    few = one.numel() + other.numel() <= BLOCK_BYTES
    double = few or torch.float64 in (one.dtype, other.dtype)
    kind = torch.float64 if double else torch.float32
    return one.to(kind), other.to(one.device, kind)
