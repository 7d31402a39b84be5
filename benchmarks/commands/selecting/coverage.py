"""How well some rows stand for all: distances to the nearest pick."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clcore.geometry import Points, as_matrix
from clcore.randomness import permutation

SAMPLE = 20_000
"""Rows that the distances are taken of, where there are more."""

_PAIRS = 200_000_000
_LEAST = 1_000


@dataclass(frozen=True)
class Coverage:
    """Distances of rows to the nearest pick.

    Attributes:
        distances: `[m]`: Euclidean.
        rows: int64 `[m]`: of which rows: all, or a sample.
    """

    distances: Tensor
    rows: Tensor

    @property
    def mean(self) -> float:
        """The mean distance."""
        return float(self.distances.mean())

    @property
    def radius(self) -> float:
        """The largest distance: the covering radius of these rows."""
        return float(self.distances.max())

    def within(self, distance: float) -> float:
        """Return the share of rows that have a pick within a distance."""
        return float((self.distances <= distance).double().mean())


def sample(rows: int, picks: int, seed: int) -> Tensor:
    """Choose the rows of which distances are taken.

    Args:
        rows: Size of the pool.
        picks: How many picks there are: with very many, fewer rows do.
        seed: Of the sample.

    Returns:
        int64: all rows, or a uniform sample, ascending.
    """
    most = min(SAMPLE, max(_LEAST, _PAIRS // max(1, picks)))
    if rows <= most:
        return torch.arange(rows)
    generator = torch.Generator().manual_seed(seed)
    return permutation(rows, generator, torch.device("cpu"))[:most].sort().values


def coverage(features: Tensor, picks: Tensor, rows: Tensor) -> Coverage:
    """Measure distances to the nearest pick, in blocks.

    Args:
        features: `[n, ...]`, memory-mapped or not: only the rows named are read.
        picks: int64 `[k]`.
        rows: int64 `[m]`.

    Returns:
        The distances of `rows`.
    """
    points = Points(as_matrix(torch.cat([features[picks], features[rows]])))
    squared, _ = points.nearest(torch.arange(len(picks)))
    return Coverage(squared[len(picks) :].sqrt(), rows)
