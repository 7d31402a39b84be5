"""Nearest-neighbour graphs by faiss, and the same turned round.

Source: Johnson, Douze & Jégou, "Billion-scale similarity search with GPUs", 2017 (faiss); for
`hnsw` Malkov & Yashunin, "Efficient and robust approximate nearest neighbor search using
hierarchical navigable small world graphs", 2018.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clcore.checks import whole_number
from clcore.errors import ArgumentError

Index = Literal["auto", "flat", "ivf", "hnsw"]

FLAT_BELOW = 10_000
"""Rows below which an exact search takes no longer than building an approximate index."""

PROBES = 8
"""Lists of the inverted file that are searched for each row."""

SAMPLE_PER_LIST = 64
"""Rows a list that the centroids are learnt from."""


@dataclass(frozen=True)
class Graph:
    """For each row the nearest rows, itself among them, in compressed form.

    Attributes:
        starts: int64 `[n + 1]`: the entries of row `u` are `starts[u]` to `starts[u + 1]`.
        rows: int32 `[e]`.
        squared: float32 `[e]`: squared distances.
        evaluations: Distances computed to build it, as far as the index tells.
    """

    starts: NDArray[np.int64]
    rows: NDArray[np.int32]
    squared: NDArray[np.float32]
    evaluations: int


def check_index(index: str) -> None:
    """Refuse a name that is no index.

    Raises:
        ArgumentError: If it is none of `"auto"`, `"flat"`, `"ivf"` and `"hnsw"`.
    """
    if index not in get_args(Index):
        raise ArgumentError(f"index must be 'auto', 'flat', 'ivf' or 'hnsw', not {index!r}")


def nearest_neighbours(
    matrix: Tensor, neighbours: int, *, index: Index = "auto"
) -> tuple[NDArray[np.float32], NDArray[np.int64], int]:
    """Find the nearest rows of each row.

    Args:
        matrix: `[n, d]` on the CPU; searched in float32, after centring.
        neighbours: How many, the row itself included; cut to n.
        index: `"flat"` is exact; `"ivf"` an inverted file of about 2√n lists of which 8 are
            searched; `"hnsw"` a navigable graph; `"auto"` is flat below 10,000 rows, else ivf.

    Returns:
        Squared distances `[n, K]` and rows `[n, K]`, nearest first; where an approximate index
        found fewer, the rest are row −1. And the distances computed, as far as the index tells.
        The number of threads is torch's.

    Raises:
        ArgumentError: If an argument is none of these.
    """
    import faiss

    check_index(index)
    neighbours = min(whole_number("neighbours", neighbours, least=1), len(matrix))
    centred = matrix - matrix.mean(dim=0, dtype=torch.float64).to(matrix.dtype)
    points = np.ascontiguousarray(centred.to(torch.float32).numpy())
    n = len(points)
    if index == "auto":
        index = "flat" if n < FLAT_BELOW else "ivf"
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(torch.get_num_threads())
    try:
        searcher, per_row = _build(faiss, points, index, neighbours)
        squared, rows = searcher.search(points, neighbours)
    finally:
        faiss.omp_set_num_threads(before)
    return squared.clip(min=0), rows, n * per_row


def _build(
    faiss: Any, points: NDArray[np.float32], index: Index, neighbours: int
) -> tuple[Any, int]:
    """Return a filled index and about how many distances a search of it takes."""
    n, d = points.shape
    if index == "flat":
        searcher = faiss.IndexFlatL2(d)
        searcher.add(points)
        return searcher, n
    if index == "hnsw":
        searcher = faiss.IndexHNSWFlat(d, 32)
        searcher.hnsw.efSearch = max(2 * neighbours, 64)
        searcher.add(points)
        return searcher, 32 * searcher.hnsw.efSearch
    lists = max(1, min(int(2 * math.sqrt(n)), n // 39 or 1))
    quantiser = faiss.IndexFlatL2(d)
    searcher = faiss.IndexIVFFlat(quantiser, d, lists)
    searcher.cp.max_points_per_centroid = SAMPLE_PER_LIST
    searcher.cp.min_points_per_centroid = 1
    searcher.train(points)
    searcher.add(points)
    searcher.nprobe = min(PROBES, lists)
    return searcher, lists + n * searcher.nprobe // lists


def coverers(matrix: Tensor, neighbours: int, *, index: Index = "auto") -> Graph:
    """Find for each row `u` the rows that have `u` among their nearest: those that it can cover.

    Args:
        matrix: `[n, d]` on the CPU.
        neighbours: How many nearest rows each row has, itself included.
        index: See `nearest_neighbours`.

    Returns:
        The graph turned round. Every row covers itself, even where copies of it crowd it out of
        its own list, at a distance of 0.
    """
    from clcore.geometry.graph_loops import turned_round

    squared, rows, evaluations = nearest_neighbours(matrix, neighbours, index=index)
    starts, covered, distances = turned_round(rows, squared)
    return Graph(starts, covered, distances, evaluations)
