"""Feature-based functions: much of every feature, with diminishing returns.

Source: Kirchhoff & Bilmes, "Submodularity for data selection in machine translation", EMNLP 2014;
Wei, Liu, Kirchhoff, Bartels & Bilmes, "Submodular subset selection for large-scale speech training
data", ICASSP 2014.

Formula: f(S) = Σ_f v_f φ( Σ_{s ∈ S} w(s) x_{s f} ), for features that are not negative and a
concave φ: √z, log(1 + z), or min(z, c_f) with c_f the share α of Σ_y w(y) x_{y f}. Monotone and
submodular; O(d) a gain and O(d) of state: no two rows are ever compared, so it goes with n.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from clcore.checks import weight_column
from clcore.errors import ArgumentError, SignalError
from clcore.geometry import as_matrix
from clcore.objective import Objective
from clcore.objectives.saturated_coverage import check_saturation
from clcore.pool import Pool

Concave = Literal["sqrt", "log1p", "min"]
Negative = Literal["error", "split"]


class FeatureBased(Objective):
    """A concave function of the sum of every feature over the picks.

    Args:
        pool: The candidates. A row of weight 2 counts as two copies of it.
        concave: φ: `"sqrt"`, `"log1p"` or `"min"`.
        saturation: α of `"min"`, above 0 and at most 1.
        feature_weights: v, `[d]`, none negative; None for ones.
        negative: What to do with features below 0: `"error"`, or `"split"` each feature into its
            positive and its negative part, two features with the same weight.

    Raises:
        ArgumentError: If an option is none of these.
        SignalError: If a feature is negative and that is an error.
    """

    def __init__(
        self,
        pool: Pool,
        concave: Concave = "sqrt",
        saturation: float = 0.1,
        feature_weights: Tensor | Sequence[float] | None = None,
        negative: Negative = "error",
    ) -> None:
        super().__init__(
            pool,
            concave=concave,
            saturation=saturation,
            feature_weights=feature_weights,
            negative=negative,
        )
        for name, value, allowed in (
            ("concave", concave, Concave),
            ("negative", negative, Negative),
        ):
            if value not in get_args(allowed):
                listed = ", ".join(repr(word) for word in get_args(allowed))
                raise ArgumentError(f"{name} must be one of {listed}, not {value!r}")
        check_saturation(saturation)
        self._concave = concave
        matrix = as_matrix(pool.signal("features"))
        columns = matrix.shape[1]
        self._vectors = _non_negative(matrix, negative)
        if pool.weights is not None:
            self._vectors = self._vectors * pool.weights.to(matrix.dtype).unsqueeze(1)
        total = self._vectors.sum(dim=0, dtype=torch.float64)
        self._enough = saturation * total
        self._total = total
        self._feature_weights = torch.ones_like(total)
        if feature_weights is not None:
            own = weight_column("feature_weights", feature_weights, None)
            if len(own) != columns:
                raise ArgumentError(
                    f"feature_weights has {len(own)} entries where there are {columns} features"
                )
            self._feature_weights = own.to(total).repeat(len(total) // columns)
        self.reset()

    @property
    def step(self) -> int:
        """What one gain takes; a root or a logarithm takes as long as some 16 multiplications."""
        return 16 * self._vectors.shape[1]

    def reset(self) -> None:
        """Go back to the empty set."""
        self._sum = torch.zeros_like(self._total)

    def gains(self, rows: Tensor) -> Tensor:
        """Return what each of some rows would add: float64 `[m]`."""
        self.evaluations += len(rows)
        parts = [self._sum[:0]]
        # Blocks that stay in the cache; each gain is a sum of small differences, so in float64.
        size = max(16, 2**17 // max(1, self.step))
        for start in range(0, len(rows), size):
            with_row = self._vectors[rows[start : start + size]].to(torch.float64) + self._sum
            parts.append(
                (self._returns(with_row) - self._returns(self._sum)) @ self._feature_weights
            )
        return torch.cat(parts)

    def add(self, rows: Tensor) -> None:
        """Put rows into the set."""
        self._sum = self._sum + self._vectors[rows].sum(dim=0, dtype=torch.float64)

    def value(self) -> float:
        """Return the value of the set."""
        return float(self._returns(self._sum) @ self._feature_weights)

    def ceiling(self) -> float:
        """Return the value of all rows together."""
        return float(self._returns(self._total) @ self._feature_weights)

    def _returns(self, sums: Tensor) -> Tensor:
        if self._concave == "sqrt":
            return sums.sqrt()
        return sums.log1p() if self._concave == "log1p" else torch.minimum(sums, self._enough)


def _non_negative(matrix: Tensor, negative: Negative) -> Tensor:
    below = (matrix < 0).any(dim=1)
    if not bool(below.any()):
        return matrix
    if negative == "split":
        return torch.cat([matrix.clamp_min(0), (-matrix).clamp_min(0)], dim=1)
    row = int(below.to(torch.uint8).argmax())
    raise SignalError(
        f"signal 'features' must not be negative for feature-based functions: row {row} holds "
        f"{float(matrix[row].min())}; negative='split' makes two features of each"
    )
