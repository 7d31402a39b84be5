"""Rows of the kernel of a pool, computed when they are first needed."""

from __future__ import annotations

import torch
from torch import Tensor

from clcore.geometry.neural_tangent_kernel import neural_tangent_kernel

_KEPT = 1 << 23
"""The most numbers of the kernel that are kept: 64 MiB."""


class KernelRows:
    """The kernel between some rows of a pool and all of them.

    Args:
        features: `[n, d]`.
        kernel: `"ntk"`, `"rbf"` or `"linear"`.
        depth: Hidden layers of the network whose tangent kernel it is.
        standardise: Shift and scale the features, by one number each.

    Attributes:
        evaluations: Pairs of rows whose kernel was computed.
    """

    def __init__(self, features: Tensor, kernel: str, depth: int, standardise: bool) -> None:
        points = features.double()
        if standardise:
            points = points - points.mean()
            spread = float(points.square().mean().sqrt())
            # Numbers that are all alike, up to the rounding of their mean, tell nothing apart.
            points = points / spread if spread > 1e-12 * float(features.abs().max()) else points * 0
        self.points, self.kernel, self.depth = points, kernel, depth
        self.evaluations = 0
        count = len(points)
        self._kept = points.new_empty(count, count) if count * count <= _KEPT else None
        self._known = torch.zeros(count, dtype=torch.bool, device=points.device)

    def of(self, rows: Tensor) -> Tensor:
        """Compute or look up rows of the kernel.

        Args:
            rows: int64 `[m]`.

        Returns:
            float64 `[m, n]`.
        """
        if self._kept is None:
            return self._compute(rows)
        missing = rows[~self._known[rows]]
        if len(missing):
            self._kept[missing] = self._compute(missing)
            self._known[missing] = True
        return self._kept[rows]

    def _compute(self, rows: Tensor) -> Tensor:
        self.evaluations += len(rows) * len(self.points)
        left, right = self.points[rows], self.points
        width = right.shape[1]
        if self.kernel == "ntk":
            return neural_tangent_kernel(left, right, depth=self.depth)
        products = (left @ right.T).mul_(1 / width)
        if self.kernel == "linear":
            return products.add_(1)
        squares = right.square().sum(dim=1) / width
        distances = squares[rows].unsqueeze(1) + squares - 2 * products
        return distances.clamp_min_(0).neg_().exp_()
