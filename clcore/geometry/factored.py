"""Gradients of a last layer kept as two factors: products and distances, never multiplied out.

The gradient of a loss with respect to a linear layer that reads h and gives logits z is the outer
product g = e ⊗ [h, 1] with e = ∂loss/∂z, the 1 standing for the bias. All that a selection asks of
C·(d + 1) such numbers a row can be had from C + d of them:

    ⟨g_i, g_j⟩ = ⟨e_i, e_j⟩ (⟨h_i, h_j⟩ + bias).

Squared distances are not taken as ‖g_i‖² + ‖g_j‖² − 2⟨g_i, g_j⟩, which loses what near rows have in
common. With E = ‖e‖² and H = ‖h‖² + bias they are, from the distances of the factors alone,

    ‖g_i − g_j‖² = ‖e_i − e_j‖² (H_i + H_j)/2 + ‖h_i − h_j‖² (E_i + E_j)/2
                   − ‖e_i − e_j‖² ‖h_i − h_j‖²/2 + (E_i − E_j)(H_i − H_j)/2,

so that equal rows are at distance 0 and rounding is relative to the spread of the factors.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from clcore.errors import ArgumentError
from clcore.geometry.points import BLOCK_BYTES, Points


class FactoredPoints(Points):
    """Rows g_i = e_i ⊗ [h_i, 1]: the distances of `Points`, and inner products.

    It stands wherever `Points` may that asks for distances; `matrix` holds the errors alone.

    Args:
        errors: float32 or float64 `[n, C]`: the gradients with respect to the logits.
        features: `[n, d]` of the same type and device: what the layer reads; None for g_i = e_i.
        bias: Whether the layer has a bias, that is, whether the 1 is there. Without features it
            means nothing.

    Raises:
        ArgumentError: If the factors do not agree in rows, type or device.

    Attributes:
        errors: As given.
        features: As given.
        bias: 1.0 with a bias or without features, else 0.0.
        shape: `(C, d + 1)`, or `(C, d)` without bias, or `(C, 1)` without features: of one
            gradient as a matrix.
        evaluations: Distances and inner products computed so far.
    """

    def __init__(self, errors: Tensor, features: Tensor | None = None, bias: bool = True) -> None:
        if features is not None:
            _check_factors(errors, features)
        super().__init__(errors)
        self.errors, self.features = errors, features
        self.bias = 1.0 if bias or features is None else 0.0
        inputs = (0 if features is None else features.shape[1]) + int(self.bias)
        self.shape = (errors.shape[1], inputs)
        self.error_squares = errors.square().sum(dim=1)
        if features is None:
            self.feature_squares = torch.ones_like(self.error_squares)
        else:
            self.feature_squares = features.square().sum(dim=1) + self.bias

    @cached_property
    def squares(self) -> Tensor:
        """The squared lengths of the gradients, `[n]`; they are not centred."""
        return self.error_squares * self.feature_squares

    @cached_property
    def columns(self) -> Tensor:
        """Not there: the gradients are never multiplied out.

        Raises:
            TypeError: Always.
        """
        raise TypeError("factored points have no columns: use their distances and products")

    def safe_rows(self) -> Tensor:
        """Not there: the gradients are never multiplied out.

        Raises:
            TypeError: Always.
        """
        raise TypeError("factored points have no rows: use their distances and products")

    @property
    def dtype(self) -> torch.dtype:
        """The type of the factors."""
        return self.errors.dtype

    @property
    def step(self) -> int:
        """Multiplications that the distances, or inner products, to one row take."""
        return self.errors.numel() + (0 if self.features is None else self.features.numel())

    def part(self, rows: Tensor) -> FactoredPoints:
        """Return the same for some of the rows.

        Args:
            rows: int64 `[m]`.

        Returns:
            Copies of these rows.
        """
        features = None if self.features is None else self.features[rows]
        return FactoredPoints(self.errors[rows], features, bias=self.bias > 0)

    def double(self) -> FactoredPoints:
        """Return the same in double precision."""
        features = None if self.features is None else self.features.double()
        return FactoredPoints(self.errors.double(), features, bias=self.bias > 0)

    def to_row(self, row: int | Tensor) -> Tensor:
        """Compute the squared distances of all rows to one of them.

        Args:
            row: Which; a number, or an int64 `[1]` that stays on its device.

        Returns:
            A new `[n]`, none negative, 0 at `row` and at its copies.
        """
        if isinstance(row, Tensor):
            return self.to_rows(row.reshape(1)).squeeze(0)
        self.evaluations += len(self)
        apart = self._error_points.to_row(row)
        if self._feature_points is None:
            return apart
        return self._joined(
            apart,
            self._feature_points.to_row(row),
            self.error_squares[row],
            self.feature_squares[row],
        )

    def to_rows(self, rows: Tensor) -> Tensor:
        """Compute the squared distances of all rows to some of them.

        Args:
            rows: int64 `[m]`.

        Returns:
            A new `[m, n]`, none negative, 0 between copies.
        """
        self.evaluations += len(self) * len(rows)
        apart = self._error_points.to_rows(rows)
        if self._feature_points is None:
            return apart
        return self._joined(
            apart,
            self._feature_points.to_rows(rows),
            self.error_squares[rows].unsqueeze(1),
            self.feature_squares[rows].unsqueeze(1),
        )

    def to_centre(self) -> Tensor:
        """Return the squared distances of all gradients to their mean: `[n]`, none negative."""
        ones = torch.ones(len(self), dtype=torch.float64, device=self.device)
        mean = self.sums(ones) / max(1, len(self))
        length = mean.square().sum().to(self.dtype)
        return (self.squares - 2 * self.times(mean) + length).clamp_min_(0.0)

    def inner_products(self, rows: Tensor) -> Tensor:
        """Compute the inner products of some gradients with all of them: `[m, n]`.

        Args:
            rows: int64 `[m]`.

        Returns:
            A new `[m, n]`.
        """
        self.evaluations += len(self) * len(rows)
        products = self.errors[rows] @ self.errors.t()
        if self.features is None:
            return products
        return products.mul_((self.features[rows] @ self.features.t()).add_(self.bias))

    def pairs(self, rows: Tensor, others: Tensor) -> Tensor:
        """Compute inner products between some rows and some others in double precision.

        Args:
            rows: int64 `[m]`.
            others: int64 `[p]`.

        Returns:
            float64 `[m, p]`.
        """
        self.evaluations += len(rows) * len(others)
        products = self.errors[rows].double() @ self.errors[others].double().t()
        if self.features is None:
            return products
        return products * (
            self.features[rows].double() @ self.features[others].double().t() + self.bias
        )

    def sums(self, weights: Tensor, rows: Tensor | None = None) -> Tensor:
        """Add up weighted gradients in double precision: Σ w_i e_i ⊗ [h_i, 1].

        Args:
            weights: Floating-point `[n]`, or `[m]` with `rows`.
            rows: int64 `[m]`: only these; by default all.

        Returns:
            float64 `shape`, that is `[C, d + 1]`.
        """
        total = torch.zeros(self.shape, dtype=torch.float64, device=self.device)
        weights = weights.double()
        size = self._rows_a_block(8)
        for start in range(0, len(weights), size):
            here = slice(start, start + size) if rows is None else rows[start : start + size]
            weighted = self.errors[here].double() * weights[start : start + size].unsqueeze(1)
            total += weighted.t() @ self._inputs(here).double()
        return total

    def times(self, matrix: Tensor) -> Tensor:
        """Compute the inner product of every gradient with one matrix.

        The smaller of the two possible intermediates is formed, `[n, C]` or `[n, d + 1]`, block by
        block; n·C·d multiplications either way, and no n × C × d numbers anywhere.

        Args:
            matrix: Floating-point `shape`, that is `[C, d + 1]`.

        Returns:
            A new `[n]` in the factors' type.
        """
        self.evaluations += len(self)
        matrix = matrix.to(self.dtype)
        if self.features is None:
            return self.errors @ matrix.squeeze(1)
        size = self._rows_a_block(self.errors.element_size())
        blocks = [slice(start, start + size) for start in range(0, len(self), size)]
        return torch.cat([self._block_times(matrix, here) for here in blocks])

    def _block_times(self, matrix: Tensor, here: slice) -> Tensor:
        assert self.features is not None  # the caller has settled that
        errors, features = self.errors[here], self.features[here]
        inputs = features.shape[1]
        if errors.shape[1] <= inputs:
            mapped = features @ matrix[:, :inputs].t()
            if self.bias:
                mapped += matrix[:, inputs]
            return (mapped * errors).sum(dim=1)
        mapped = errors @ matrix
        products = (mapped[:, :inputs] * features).sum(dim=1)
        return products + mapped[:, inputs] if self.bias else products

    def _inputs(self, here: slice | Tensor) -> Tensor:
        """Return [h, 1] for some rows."""
        if self.features is None:
            return torch.ones_like(self.errors[here][:, :1])
        features = self.features[here]
        if not self.bias:
            return features
        return torch.cat([features, torch.ones_like(features[:, :1])], dim=1)

    def _rows_a_block(self, size: int) -> int:
        return max(1, BLOCK_BYTES // max(1, 2 * size * sum(self.shape)))

    @cached_property
    def _error_points(self) -> Points:
        return Points(self.errors)

    @cached_property
    def _feature_points(self) -> Points | None:
        return None if self.features is None else Points(self.features)

    def _joined(self, apart: Tensor, inputs: Tensor, error: Tensor, feature: Tensor) -> Tensor:
        """Join squared distances of the factors to those of the gradients; overwrites `apart`.

        Args:
            apart: ‖e_i − e_j‖², `[n]` or `[m, n]`.
            inputs: ‖h_i − h_j‖², likewise; overwritten.
            error: ‖e_j‖², a number or `[m, 1]`.
            feature: ‖h_j‖² + bias, likewise.
        """
        same = (apart == 0) & (inputs == 0)
        # a·(H̄ − b/2) + b·Ē + ΔE·ΔH/2, with as few passes over the memory as possible.
        total = (self.feature_squares + feature).sub_(inputs).mul_(apart)
        total.addcmul_(self.error_squares + error, inputs)
        total.addcmul_(self.error_squares - error, self.feature_squares - feature)
        # Copies are at 0 even where the last places of their lengths differ.
        return total.mul_(0.5).clamp_min_(0.0).masked_fill_(same, 0.0)


def _check_factors(errors: Tensor, features: Tensor) -> None:
    if len(errors) != len(features):
        raise ArgumentError(
            f"errors has {len(errors)} rows where features has {len(features)}: one each a row"
        )
    if errors.dtype != features.dtype or errors.device != features.device:
        raise ArgumentError(
            f"errors is {errors.dtype} on {errors.device} where features is {features.dtype} on "
            f"{features.device}: they must agree"
        )
