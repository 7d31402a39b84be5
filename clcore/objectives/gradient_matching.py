"""Gradient matching: how much of the sum of all gradients weighted picks can make up.

Source: Killamsetty et al., "GRAD-MATCH: gradient matching based data subset selection for efficient
deep model training", ICML 2021.

Formula: with the gradients g_i, the target t = Σ_i v_i g_i (v: pool weights, or ones) and a
penalty λ,

    f(S) = ‖t‖² − min_{w ≥ 0} ( ‖t − Σ_{j ∈ S} w_j g_j‖² + λ ‖w‖² ).

f never falls when a row is added; it is not submodular. Gains are exact: each row is tried with all
weights fitted again. The maximiser `matching-pursuit` asks for `correlations` instead,
⟨g_i, t − Σ w_j g_j⟩, which cost a product with one vector a row.

The weights are fitted in double precision whatever the signals are in. Correlations come from the
residual, or, where the gradients are factored and few rows are picked, from products with the picks
that are kept (Batch-OMP), whichever takes fewer operations.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from clcore.geometry.non_negative import NonNegativeLeastSquares
from clcore.geometry.spanned import Spanned
from clcore.objective import Objective
from clcore.objectives._gradients import (
    LAST_LAYER,
    check_pool,
    check_ridge,
    gradient_points,
    matching_target,
    scaled,
)
from clcore.pool import Pool

_KEPT_BYTES = 256 * 2**20
"""The most memory that the kept products with the picks may take."""


class GradientMatching(Objective):
    """The part of the target that weighted picks make up.

    On a GPU the products run there, and each row that is added costs a round trip: the weights are
    fitted on the CPU.

    Args:
        pool: The candidates.
        gradients: `"last-layer"` for ∂loss/∂logits ⊗ [features, 1], never multiplied out;
            `"own-class"` for the part of it in the row of the label, 1 + d numbers a sample; or the
            name of a signal that holds gradients, for example `"projected_gradients"`.
        ridge: The penalty λ. It is added to squared lengths of gradients, so its effect depends
            on their scale.
        bias: Whether the last layer has a bias.
        validation: Match the mean gradient of these rows, times the weight of the pool, in place of
            the pool's own sum.

    Raises:
        ArgumentError: If an option is wrong, or the validation rows do not go with the pool.
        SignalError: If a signal is missing.
    """

    signals: ClassVar[tuple[str, ...]] = LAST_LAYER
    submodular: ClassVar[bool] = False

    def __init__(
        self,
        pool: Pool,
        *,
        gradients: str = "last-layer",
        ridge: float = 0.5,
        bias: bool = True,
        validation: Pool | None = None,
    ) -> None:
        super().__init__(pool, gradients=gradients, ridge=ridge, bias=bias, validation=validation)
        check_ridge(ridge)
        check_pool("validation", validation)
        self.atoms = gradient_points(pool, gradients, bias=bias)
        self.target = matching_target(pool, self.atoms, gradients, bias, validation)
        self.square = float(self.target.square().sum())
        self._base: Tensor | None = None
        self._scale: Tensor | None = None
        self.reset()

    @property
    def step(self) -> int:
        """Multiplications that the correlations take."""
        classes, inputs = self.atoms.shape
        return len(self) * classes * inputs

    @property
    def scale(self) -> Tensor:
        """1/√(‖g_i‖² + λ), and 0 where that has no value: `[n]`."""
        if self._scale is None:
            lengths = (self.atoms.squares + self.options["ridge"]).sqrt()
            self._scale = torch.where(lengths > 0, 1 / lengths, 0.0)
        return self._scale

    def reset(self) -> None:
        """Go back to the empty set."""
        self.fit = NonNegativeLeastSquares(self.square, self.options["ridge"])
        self.places: dict[int, int] = {}
        self._correlations: Tensor | None = None
        self._kept: Tensor | None = None
        self._keeps = self.atoms.features is not None
        self._spanned: Spanned | None = None

    def gains(self, rows: Tensor) -> Tensor:
        """Return what each of some rows would add, with all weights fitted again: `[m]`."""
        chosen = self._chosen()
        parts = [torch.empty(0, dtype=torch.float64)]
        for block in torch.split(rows, max(1, 2**22 // (1 + len(chosen) + sum(self.atoms.shape)))):
            atoms = self.atoms.part(block).double()
            gains = self.fit.gains(
                self.atoms.pairs(block, chosen).cpu().numpy(),
                atoms.squares.cpu().numpy(),
                atoms.times(self.target).cpu().numpy(),
            )
            self.evaluations += len(block) * (1 + len(chosen))
            parts.append(torch.from_numpy(gains))
        gained = torch.cat(parts).to(self.device)
        if len(chosen):
            gained[torch.isin(rows, chosen)] = 0.0
        return gained

    def correlations(self) -> Tensor:
        """Return the inner product of every gradient with the residual: `[n]`."""
        if self._correlations is None:
            if not self.places:
                self._correlations = self._with_target()
            elif self._kept is not None:
                weights = torch.from_numpy(self.fit.weights).to(self._kept)
                made_up = self._kept[: len(weights)].t() @ weights
                self._correlations = self._with_target() - made_up
            else:
                self.evaluations += len(self)
                self._correlations = self.atoms.times(self._residual())
        return self._correlations

    def unspanned(self) -> Tensor:
        """Return ‖g_i‖² + λ less the part of it that the picks with weight span: `[n]`.

        The square of a positive correlation over this is what the row would add to the value, as
        long as it takes the weight of no other pick to 0. It takes an n × p matrix for p picks.
        Infinite where nothing but rounding is left.

        Raises:
            NotEnoughMemoryError: If that matrix does not fit.
        """
        if self._spanned is None:
            self._spanned = Spanned(self.atoms, self.options["ridge"])
        chosen = self._chosen()
        rows = chosen[torch.from_numpy(self.fit.passive).to(self.device)]
        self.evaluations += self._spanned.follow(rows, torch.from_numpy(self.fit.factor))
        return self._spanned.left

    def add(self, rows: Tensor) -> None:
        """Put rows into the set and fit the weights again."""
        for row in rows.tolist():
            if row not in self.places:
                self._add_one(row)
        self._correlations = None

    def _add_one(self, row: int) -> None:
        chosen, here = self._chosen(), torch.tensor([row], device=self.device)
        atom = self.atoms.part(here).double()
        products = self.atoms.pairs(here, chosen)[0].cpu().numpy()
        self.fit.add(products, float(atom.squares), float(atom.times(self.target)))
        self.evaluations += len(chosen) + 1
        self.places[row] = len(self.places)
        self._keep(here)

    def _keep(self, row: Tensor) -> None:
        """Keep the products of all rows with a pick for as long as that is the cheaper way."""
        if not self._keeps:
            return
        classes, inputs = self.atoms.shape
        count, size = len(self.places), len(self) * self.atoms.errors.element_size()
        # Rounding of kept products is relative to the target and not to what is left of it.
        self._keeps = (
            classes + inputs + count < classes * inputs
            and 2 * count * size <= _KEPT_BYTES
            and self.residual() > 1e-3
        )
        if not self._keeps:
            self._kept = None
            return
        if self._kept is None:
            self._kept = torch.empty(16, len(self), dtype=self.atoms.dtype, device=self.device)
        if count > len(self._kept):
            self._kept = torch.cat([self._kept, torch.empty_like(self._kept)])
        self._kept[count - 1] = self.atoms.inner_products(row)[0]
        self.evaluations += len(self)

    def value(self) -> float:
        """Return by how much the penalised squared distance to the target has fallen."""
        return self.fit.value

    def residual(self) -> float:
        """Return the length of what is left of the target, as a share of the target's length."""
        return self.fit.residual / math.sqrt(self.square) if self.square > 0 else 0.0

    def ceiling(self) -> float | None:
        """Return the value of all rows where that is known: without penalty, on the pool's sum."""
        if self.options["ridge"] == 0 and self.options["validation"] is None:
            return self.square
        return None

    def fitted(self, picks: Tensor) -> Tensor:
        """Return the weights at the minimum, as they are: float64 `[k]`, none negative.

        Args:
            picks: int64 `[k]`; all are in the set.
        """
        places = [self.places[row] for row in picks.tolist()]
        return torch.from_numpy(self.fit.weights[np.array(places, dtype=np.int64)]).to(self.device)

    def weights(self, picks: Tensor) -> Tensor:
        """Return the fitted weights, scaled by one factor so that they sum to the pool's weight.

        Args:
            picks: int64 `[k]`, in pick order; all are in the set.

        Returns:
            Floating-point `[k]`; all alike where every fitted weight is 0.
        """
        return scaled(self.fitted(picks), self.pool).to(self.atoms.dtype)

    def _with_target(self) -> Tensor:
        """Return the inner product of every gradient with the target: `[n]`."""
        if self._base is None:
            self._base = self.atoms.times(self.target)
            self.evaluations += len(self)
        return self._base

    def _chosen(self) -> Tensor:
        return torch.tensor(list(self.places), dtype=torch.int64, device=self.device)

    def _residual(self) -> Tensor:
        weights = torch.from_numpy(self.fit.weights).to(self.device)
        return self.target - self.atoms.sums(weights, self._chosen())
