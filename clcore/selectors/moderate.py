"""Moderate: the rows whose distance to the centre of their class is in the middle of all.

Source: Xia et al., "Moderate coreset: a universal method of data selection for real-world
data-efficient deep learning", ICLR 2023.

Formula: with d(x) = ‖ φ(x) − c_{y(x)} ‖, c_y the mean of the features of label y, sort all rows by
d and take the middle: those whose place in the order is nearest to (n − 1) / 2. O(n d + n log n).

Defaults: the means of the paper, one order over all labels. Without labels the pool is one class.
With `per_label` each label has an order and a share of its own. Of two places equally far from the
middle the nearer row goes first, so a smaller coreset is a prefix. `gains` are minus the distance
of the place from the middle (from a quarter of a place below it), as a share of the rows ranked.

Differences from reference codes: the authors' code takes the median of each coordinate for the
centre, which is `centre="median"`, and the same middle of one order.

Expected numbers: on the digits with one label in ten wrong (tests/clcore/selectors/
test_noisy_digits.py) the first tenth holds 2 % of the wrong labels: they are far from the mean of
the label they were given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from clcore.geometry import as_matrix
from clcore.pool import Pool
from clcore.ranking import ScoreSelector, one_of, rank_within, rows_by


@dataclass(frozen=True)
class Moderate(ScoreSelector):
    """The rows in the middle of the distances to their class centres.

    Args:
        per_label: Rank within each label, and take from each its proportional share.
        ties: Which of equal rows goes first: the `"first"` or a `"random"` one.
        centre: `"mean"` of the label's features, or the `"median"` of each coordinate.
    """

    centre: Literal["mean", "median"] = "mean"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("centre", self.centre, ("mean", "median"))

    def scores(self, pool: Pool) -> Tensor:
        """Return minus the distance of each row's place from the middle of its order."""
        labels = pool.labels
        if labels is None:
            labels = torch.zeros(len(pool), dtype=torch.int64, device=pool.device)
        distances = self._to_centres(as_matrix(pool.signal("features")), labels)
        parts = labels if self.per_label else torch.zeros_like(labels)
        _, part, sizes = torch.unique(parts, return_inverse=True, return_counts=True)
        order = torch.argsort(distances, stable=True)
        places = torch.empty(len(pool), dtype=torch.float64, device=pool.device)
        places[order] = rank_within(part[order]).to(torch.float64)
        # A quarter of a place below the middle: the nearer of two equally far goes first.
        from_middle = (places + 0.25 - (sizes[part] - 1) / 2).abs()
        scores: Tensor = -from_middle / sizes[part]
        return scores

    def _to_centres(self, features: Tensor, labels: Tensor) -> Tensor:
        distances = features.new_empty(len(features))
        for rows in rows_by(labels):
            members = features[rows]
            if self.centre == "mean":
                centre = members.mean(dim=0, dtype=torch.float64).to(features.dtype)
            else:
                ordered = members.sort(dim=0).values
                centre = (ordered[(len(rows) - 1) // 2] + ordered[len(rows) // 2]) / 2
            distances[rows] = torch.linalg.vector_norm(members - centre, dim=1)
        return distances
