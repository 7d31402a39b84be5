"""Brings rows into the plane for a picture."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.commands.selecting.request import Projection
from clcore.errors import ArgumentError
from clcore.geometry import as_matrix
from clcore.randomness import permutation

MOST: dict[Projection, int] = {"pca": 20_000, "tsne": 5_000, "umap": 10_000}
"""Rows that are drawn at most, picks included."""


@dataclass(frozen=True)
class Plane:
    """Rows in the plane.

    Attributes:
        places: float `[m, 2]`.
        rows: int64 `[m]`: of which rows; the picks first, in pick order.
        caption: How it was made.
    """

    places: Any
    rows: Tensor
    caption: str


def check_projection(kind: Projection) -> None:
    """Refuse a projection whose package is missing.

    Raises:
        ArgumentError: Names the command that installs it.
    """
    if kind == "umap" and find_spec("umap") is None:
        raise ArgumentError(
            "--projection: umap needs the package umap-learn: pip install 'clcore[umap]'"
        )


def project(features: Tensor, picks: Tensor, kind: Projection, *, seed: int) -> Plane:
    """Project the picks and, where there are many rows, a sample of the others.

    Args:
        features: `[n, ...]`.
        picks: int64 `[k]`: they are always among the rows drawn.
        kind: The projection.
        seed: Of the sample and the projection.

    Returns:
        The places.

    Raises:
        ArgumentError: If there are more picks than the projection can take.
    """
    most = MOST[kind]
    if len(picks) > most:
        raise ArgumentError(
            f"--projection: {kind} is drawn of at most {most:,} rows, and {len(picks):,} were "
            "picked"
        )
    rows = _rows(len(features), picks, most, seed)
    matrix = as_matrix(features[rows]).numpy()
    makers = {"pca": _pca, "tsne": _tsne, "umap": _umap}
    places, words = makers[kind](matrix, seed)
    drawn = (
        "all rows"
        if len(rows) == len(features)
        else f"{len(rows):,} of {len(features):,} rows, all picks among them"
    )
    return Plane(places, rows, f"{drawn}; {words}")


def _rows(count: int, picks: Tensor, most: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    order = permutation(count, generator, torch.device("cpu"))
    is_other = torch.ones(count, dtype=torch.bool)
    is_other[picks] = False
    others = order[is_other[order]][: most - len(picks)]
    return torch.cat([picks, others])


def _pca(matrix: Any, seed: int) -> tuple[Any, str]:
    components = min(2, *matrix.shape)
    spread = matrix.astype(np.float64).std(axis=0)
    if not spread.any():
        return np.zeros((len(matrix), 2)), "PCA of rows that are all equal"
    made = importlib.import_module("sklearn.decomposition").PCA(components, random_state=seed)
    places = made.fit_transform(matrix)
    share = float(made.explained_variance_ratio_.sum())
    if components < 2:
        places = np.hstack([places, np.zeros((len(places), 1))])
    return places, f"PCA, {share:.0%} of the variance"


def _tsne(matrix: Any, seed: int) -> tuple[Any, str]:
    if len(matrix) < 4:
        return _pca(matrix, seed)
    perplexity = min(30.0, (len(matrix) - 1) / 3)
    manifold = importlib.import_module("sklearn.manifold")
    made = manifold.TSNE(2, perplexity=perplexity, init="random", random_state=seed)
    return made.fit_transform(matrix), f"t-SNE, perplexity {perplexity:.3g}"


def _umap(matrix: Any, seed: int) -> tuple[Any, str]:
    if len(matrix) < 4:
        return _pca(matrix, seed)
    neighbours = min(15, len(matrix) - 1)
    # One thread: with a seed it takes no more, and says so in a warning unless told.
    made = importlib.import_module("umap").UMAP(
        n_neighbors=neighbours, random_state=seed, n_jobs=1, init="random"
    )
    return made.fit_transform(matrix), f"UMAP, {neighbours} neighbours"
