"""Kernel mean matching: the picks look like the pool to a kernel (least MMD).

Source: Chen, Welling & Smola, "Super-samples from kernel herding", UAI 2010; the distance is the
maximum mean discrepancy of Gretton, Borgwardt, Rasch, Schölkopf & Smola, "A kernel two-sample
test", JMLR 2012.

Formula: f(S) = ‖μ‖² − MMD²(S), with MMD²(S) = ‖μ − m(S)‖² in the kernel's feature space:

    f(S) = 2/|S| Σ_{s ∈ S} μ(s) − 1/|S|² Σ_{s,t ∈ S} k(s, t),   μ(s) = Σ_x w(x) k(x, s) / Σ_x w(x),

f(∅) = 0 and ceiling ‖μ‖². Neither submodular nor monotone.

The means μ(x) take one pass over all pairs, in blocks, O(n² d); after that O(d) a gain. Memory
O(n d), never n × n.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from clcore.geometry import as_matrix, normalised
from clcore.geometry.kernels import KernelName
from clcore.objective import Objective
from clcore.objectives._similarity import make_radial
from clcore.objectives._sums import SumsToPicks
from clcore.pool import Pool


class KernelMean(Objective):
    """Nearness of the picks to the pool by a kernel: ‖μ‖² less the squared MMD.

    Args:
        pool: The candidates; its weights weigh the mean.
        kernel: `"rbf"`, `"laplace"`, `"student-t"` or `"top-hat"`.
        bandwidth: σ, in units of the distance; None for the root mean squared distance of two
            rows.
        normalise: Whether rows are scaled to length 1 first.

    Raises:
        ArgumentError: If an option is none of these.
    """

    submodular: ClassVar[bool] = False
    monotone: ClassVar[bool] = False

    def __init__(
        self,
        pool: Pool,
        kernel: KernelName = "rbf",
        bandwidth: float | None = None,
        normalise: bool = False,
    ) -> None:
        matrix = as_matrix(pool.signal("features"))
        self._similarity = make_radial(
            normalised(matrix) if normalise else matrix, kernel, bandwidth
        )
        super().__init__(
            pool, kernel=kernel, bandwidth=self._similarity.bandwidth, normalise=normalise
        )
        shares = torch.ones(len(pool), dtype=torch.float64, device=self.device)
        shares = shares if pool.weights is None else pool.weights.to(torch.float64)
        shares = shares / shares.sum()
        self._means = self._similarity.sums(shares)
        self._largest = float(shares @ self._means)
        self._own = self._similarity.diagonal.to(torch.float64)
        self.evaluations = self._similarity.evaluations
        self.reset()

    @property
    def step(self) -> int:
        """Multiplications that one gain takes."""
        return self._similarity.vectors.shape[1]

    def reset(self) -> None:
        """Go back to the empty set."""
        self._sums = SumsToPicks(len(self), self.device)
        self._attraction = torch.zeros((), dtype=torch.float64, device=self.device)
        self._among = torch.zeros((), dtype=torch.float64, device=self.device)
        self._count = 0

    def gains(self, rows: Tensor) -> Tensor:
        """Return what each of some rows would add: float64 `[m]`."""
        count = self._count + 1
        attraction = self._attraction + self._means[rows]
        among = self._among + 2 * self._to_picks(rows) + self._own[rows]
        return 2 * attraction / count - among / count**2 - self._now()

    def add(self, rows: Tensor) -> None:
        """Put rows into the set."""
        for row in rows.unsqueeze(1):
            self._attraction = self._attraction + self._means[row][0]
            self._among = self._among + (2 * self._to_picks(row) + self._own[row])[0]
            self._count += 1
            self._sums.add(row, self._similarity)

    def value(self) -> float:
        """Return the value of the set."""
        return float(self._now())

    def ceiling(self) -> float:
        """Return the value of a set that the kernel can't tell from the pool: ‖μ‖²."""
        return self._largest

    def _now(self) -> Tensor:
        count = max(1, self._count)
        return 2 * self._attraction / count - self._among / count**2

    def _to_picks(self, rows: Tensor) -> Tensor:
        before = self._similarity.evaluations
        sums = self._sums.at(rows, self._similarity)
        self.evaluations += self._similarity.evaluations - before
        return sums
