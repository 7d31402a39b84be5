"""Graph cut: similar to everything, but not to each other.

Source: Lin & Bilmes, "Multi-document summarization via budgeted maximization of submodular
functions", NAACL 2010; the trade-off is theirs, written here with λ on the first term.

Formula: f(S) = λ Σ_{x ∈ V} Σ_{s ∈ S} w(x) sim(x, s) − Σ_{s ∈ S} Σ_{t ∈ S} sim(s, t). Submodular for
similarities that are not negative; monotone for λ w ≥ 2.

With inner products (dot, cosine) the sums over V and over S are inner products with one vector
each: O(d) a gain. With a kernel the sums over V take one pass over all pairs in blocks, and a row's
sum over S is brought up to date when the row is asked, O(d) for each pick that it has not seen.
Memory O(n d); never n × n.
"""

from __future__ import annotations

import torch
from torch import Tensor

from clcore.geometry.kernels import check_positive
from clcore.objective import Objective
from clcore.objectives._similarity import (
    InnerProducts,
    Similarity,
    SimilarityName,
    make_similarity,
    products_along,
)
from clcore.objectives._sums import SumsToPicks
from clcore.pool import Pool


class GraphCut(Objective):
    """Similarity to the pool less similarity among the picks.

    Args:
        pool: The candidates; its weights are w.
        trade_off: λ: how much likeness to the pool counts. At 2 or more the function is monotone
            (with weights of one); the smaller, the more diverse the picks.
        similarity: `"cosine"`, (1 + cos) / 2; `"dot"`, ⟨x, y⟩, lifted by the largest squared length
            where features have signs, which changes no pick; or `"rbf"`, exp(−d²/σ²).
        bandwidth: σ of `"rbf"`; None for the root mean squared distance of two rows.

    Raises:
        ArgumentError: If an option is none of these.
    """

    def __init__(
        self,
        pool: Pool,
        trade_off: float = 2.0,
        similarity: SimilarityName = "cosine",
        bandwidth: float | None = None,
    ) -> None:
        check_positive("trade_off", trade_off)
        self.similarity: Similarity = make_similarity(pool, similarity, bandwidth)
        super().__init__(
            pool,
            trade_off=trade_off,
            similarity=similarity,
            bandwidth=self.similarity.bandwidth,  # the whole pool's, in parts of it too
        )
        least = 1.0 if pool.weights is None or not len(pool) else float(pool.weights.min())
        # Which functions are monotone depends on the options: say so on the instance.
        object.__setattr__(self, "monotone", trade_off * least >= 2)
        self._attraction = trade_off * self.similarity.sums(pool.weights)
        self._own = self.similarity.diagonal.to(torch.float64)
        self.evaluations = self.similarity.evaluations
        self.reset()

    @property
    def step(self) -> int:
        """Multiplications that one gain takes; with a kernel a row may lack all of the picks."""
        unseen = 1 if isinstance(self.similarity, InnerProducts) else 1 + self._count
        return self.similarity.vectors.shape[1] * unseen

    def reset(self) -> None:
        """Go back to the empty set."""
        vectors = self.similarity.vectors
        self._value = torch.zeros((), dtype=torch.float64, device=self.device)
        self._count = 0
        self._sum = torch.zeros(vectors.shape[1], dtype=torch.float64, device=self.device)
        self._sums = SumsToPicks(len(self), self.device)

    def gains(self, rows: Tensor) -> Tensor:
        """Return what each of some rows would add: float64 `[m]`."""
        return self._attraction[rows] - 2 * self._to_picks(rows) - self._own[rows]

    def _to_picks(self, rows: Tensor) -> Tensor:
        if isinstance(self.similarity, InnerProducts):
            self.evaluations += len(rows)
            products = products_along(self.similarity.vectors, self._sum, rows)
            return self.similarity.scale * products + self.similarity.lift * self._count
        before = self.similarity.evaluations
        sums = self._sums.at(rows, self.similarity)
        self.evaluations += self.similarity.evaluations - before
        return sums

    def add(self, rows: Tensor) -> None:
        """Put rows into the set."""
        for row in rows.unsqueeze(1):
            self._value = self._value + self.gains(row)[0]
            self._sum += self.similarity.vectors[row][0]
            self._count += 1
            if not isinstance(self.similarity, InnerProducts):
                self._sums.add(row, self.similarity)

    def value(self) -> float:
        """Return the value of the set."""
        return float(self._value)
