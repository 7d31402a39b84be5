"""How good samples are and how much of the data they cover, apart: precision and recall.

Source: Kynkäänniemi et al., "Improved precision and recall metric for assessing generative models",
NeurIPS 2019.

Formula: around each row of a set a ball as wide as the distance to its k-th nearest other row of
that set. Precision is the share of generated rows within some ball of the real ones, recall the
share of real rows within some ball of the generated ones.

Defaults: k = 3, the paper's. Both grow with the number of rows: compare sets of equal sizes.

Differences from reference codes: none known; as in `prdc` (Naeem et al., 2020) a row is none of its
own k neighbours.

Expected numbers: equal to the definition by loops; of two samples of the same distribution both are
near each other (tests/strategies/generative/test_precision_recall.py). O(n m d) time, in blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clcore.checks import whole_number
from clcore.errors import ArgumentError
from clcore.geometry.densities import BLOCK, neighbour_radius
from strategies.generative.picking import vectors_of


@dataclass(frozen=True)
class PrecisionRecall:
    """Two shares, from 0 to 1.

    Attributes:
        precision: Of the generated rows that look real.
        recall: Of the real rows that could be generated.
    """

    precision: float
    recall: float


def precision_recall(real: Tensor, generated: Tensor, *, neighbours: int = 3) -> PrecisionRecall:
    """Compare generated samples with real ones by their features.

    Args:
        real: Floating-point `[n, ...]`, n above `neighbours`.
        generated: Floating-point `[m, ...]` of the same features, m above `neighbours`.
        neighbours: k.

    Returns:
        Precision and recall.

    Raises:
        ArgumentError: If there are too few rows or the features differ in size.
        SignalError: If one is NaN or infinite.
    """
    k = whole_number("neighbours", neighbours, least=1)
    sets = []
    for name, values in (("real", real), ("generated", generated)):
        rows = vectors_of(name, values)
        if len(rows) <= k:
            raise ArgumentError(f"{name} has {len(rows)} rows, and {k} neighbours need {k + 1}")
        sets.append(rows.reshape(len(rows), -1).double())
    if sets[0].shape[1] != sets[1].shape[1]:
        raise ArgumentError(
            f"real and generated have {sets[0].shape[1]} and {sets[1].shape[1]} numbers a row: "
            "they must be features of the same kind"
        )
    centre = sets[0].mean(dim=0)
    first, second = (rows - centre for rows in sets)
    return PrecisionRecall(_inside(second, first, k), _inside(first, second, k))


def _inside(rows: Tensor, others: Tensor, neighbours: int) -> float:
    """Return the share of rows within a ball of the others."""
    radius = neighbour_radius(others, neighbours)
    step = max(1, BLOCK // len(others))
    hits = [(torch.cdist(block, others) <= radius).any(dim=1) for block in torch.split(rows, step)]
    return float(torch.cat(hits).double().mean())
