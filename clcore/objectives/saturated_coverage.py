"""Saturated coverage: every row wants so much similarity to the picks, and no more.

Source: Lin & Bilmes, "A class of submodular functions for document summarization", ACL 2011,
section 4.1.

Formula: f(S) = Σ_x w(x) min( Σ_{s ∈ S} sim(x, s), α Σ_{y ∈ V} sim(x, y) ): once a row has the share
α of the similarity that the whole pool would give it, it asks for nothing more. Monotone and
submodular for similarities that are not negative. O(n d) a gain; the sums over V once, in blocks;
memory O(n d), never n × n.
"""

from __future__ import annotations

import torch
from torch import Tensor

from clcore.errors import ArgumentError
from clcore.geometry.gathering import gathered
from clcore.objective import Objective
from clcore.objectives._similarity import SimilarityName, make_similarity
from clcore.pool import Pool


class SaturatedCoverage(Objective):
    """Similarity of every row to the picks, up to a share of what there is.

    Args:
        pool: The candidates; its weights are w.
        saturation: α, above 0 and at most 1: the share at which a row is content.
        similarity: `"rbf"`, exp(−d²/σ²); `"cosine"`, (1 + cos) / 2; or `"dot"`, ⟨x, y⟩, lifted by
            the largest squared length where features have signs.
        bandwidth: σ of `"rbf"`; None for the root mean squared distance of two rows.

    Raises:
        ArgumentError: If an option is none of these.
    """

    def __init__(
        self,
        pool: Pool,
        saturation: float = 0.1,
        similarity: SimilarityName = "rbf",
        bandwidth: float | None = None,
    ) -> None:
        check_saturation(saturation)
        self.similarity = make_similarity(pool, similarity, bandwidth)
        super().__init__(
            pool,
            saturation=saturation,
            similarity=similarity,
            bandwidth=self.similarity.bandwidth,
        )
        kind = self.similarity.diagonal.dtype
        self._enough = (saturation * self.similarity.sums(None)).to(kind)
        self._row_weights = None if pool.weights is None else pool.weights.to(kind)
        self.evaluations = self.similarity.evaluations
        self.reset()

    @property
    def step(self) -> int:
        """Multiplications that one gain takes."""
        return self.similarity.vectors.numel()

    def reset(self) -> None:
        """Go back to the empty set."""
        self._covered = torch.zeros_like(self._enough)
        self._missing = self._enough - self._covered

    def gains(self, rows: Tensor) -> Tensor:
        """Return what each of some rows would add: float64 `[m]`."""
        return gathered(self.similarity.blocks(rows), self._added, len(rows), device=self.device)

    def _added(self, rows: Tensor) -> Tensor:
        added = torch.minimum(self._similarities(rows), self._missing)
        if self._row_weights is not None:
            added *= self._row_weights
        return added.sum(dim=1, dtype=torch.float64)

    def add(self, rows: Tensor) -> None:
        """Put rows into the set."""
        for part in self.similarity.blocks(rows):
            self._covered += self._similarities(part).sum(dim=0)
        self._missing = (self._enough - self._covered).clamp_min(0)

    def value(self) -> float:
        """Return the value of the set."""
        return self._weigh(torch.minimum(self._covered, self._enough))

    def ceiling(self) -> float:
        """Return the value of all rows together."""
        return self._weigh(self._enough)

    def _weigh(self, covered: Tensor) -> float:
        covered = covered.to(torch.float64)
        return float((covered if self._row_weights is None else covered * self._row_weights).sum())

    def _similarities(self, rows: Tensor) -> Tensor:
        self.evaluations += len(rows) * len(self)
        return self.similarity.between(rows)


def check_saturation(saturation: float) -> None:
    """Refuse a share that is none.

    Raises:
        ArgumentError: If it is not above 0 and at most 1.
    """
    if not 0 < saturation <= 1:
        raise ArgumentError(f"saturation must be above 0 and at most 1, not {saturation!r}")
