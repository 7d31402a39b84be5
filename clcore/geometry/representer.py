"""Kernel softmax regression with weights, and how its solution answers to a pull on it.

The inner problem of a bilevel coreset (Borsos et al. 2020): on m rows with weights w,

    min over α [m, C] of (1/m) Σ_i w_i ℓ((Kα)_i, y_i) + λ tr(αᵀ K α),

which by the representer theorem is the problem over all functions θ of the kernel's space with
λ ‖θ‖². With R = softmax(Kα) − onehot(y), J_i = diag(p_i) − p_i p_iᵀ and D = diag(w) J / (2λm) its
stationary point is α = −diag(w) R / (2λm), and Newton's step δ solves (I + D K) δ = −ρ with
ρ = α + diag(w) R / (2λm). J_i = l_i l_iᵀ with l_i = diag(√p_i) − p_i √p_iᵀ makes that one symmetric
system with eigenvalues of at least 1: with L Lᵀ = D,

    δ = −ρ + L z,   (I + Lᵀ K L) z = Lᵀ K ρ,

in m × C numbers: factorised where these are no more than `SMALL`, else solved by conjugate
gradients, and factorised after all where they end too far off and there are no more than `DENSE`.
It has to be solved closely: −ρ and L z, of the size of 1 / λ, nearly cancel.

The inverse Hessian of the problem over all functions, applied to a function g, is exact with
values on the m rows only: H⁻¹ g = (g − Σ_j b_j K(x_j, ·)) / 2λ, b = L z, (I + Lᵀ K L) z = Lᵀ g.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

SMALL = 256
"""Numbers m × C of a system that is factorised at once, which then is the faster way."""
DENSE = 2048
"""The most numbers of a system that is factorised at all: its matrix takes 32 MiB."""
CLOSE = 1e-8
"""The relative residual to which the systems of Newton's method are solved."""
LOOSE = 1e-2
"""The relative residual of the others beyond which more is done about it."""


class KernelSoftmax:
    """The inner problem on a set of rows that grows.

    Args:
        classes: C.
        ridge: λ, positive.
        newton_steps: The most Newton steps of one solution.
        conjugate_gradient_steps: The most steps of one linear system.
        tolerance: Of the solution: what may be left of ρ, as a share of the length of α.
        device: Where it is solved.

    Attributes:
        kernel: float64 `[m, m]`.
        weights: float64 `[m]`, none negative.
        coefficients: α, float64 `[m, C]`.
        errors: R, float64 `[m, C]`.
        residual: The largest share of ρ that a solution left so far.
        linear_residual: The largest relative residual of a linear system of `respond` so far.
    """

    def __init__(
        self,
        classes: int,
        ridge: float,
        *,
        newton_steps: int = 50,
        conjugate_gradient_steps: int = 50,
        tolerance: float = 1e-4,
        device: torch.device | str = "cpu",
    ) -> None:
        self.ridge, self.tolerance = ridge, tolerance
        self.newton_steps, self.linear_steps = newton_steps, conjugate_gradient_steps
        self.kernel = torch.zeros(0, 0, dtype=torch.float64, device=device)
        self.weights = torch.zeros(0, dtype=torch.float64, device=device)
        self.coefficients = torch.zeros(0, classes, dtype=torch.float64, device=device)
        self.errors = self.coefficients
        self.residual = self.linear_residual = 0.0
        self._targets = self._probabilities = self._values = self.coefficients
        self._answer = self.coefficients

    def __len__(self) -> int:
        return len(self.weights)

    def grow(self, kernel: Tensor, labels: Tensor) -> None:
        """Add rows, with weight 1 and coefficients 0.

        Args:
            kernel: float64 `[m + a, m + a]`: of all rows, those held first.
            labels: int64 `[a]`: classes of the new ones, from 0 to C − 1.
        """
        added = len(labels)
        classes = self.coefficients.shape[1]
        targets = torch.nn.functional.one_hot(labels, classes).to(self.weights.dtype)
        self.kernel = kernel
        self.weights = torch.cat((self.weights, self.weights.new_ones(added)))
        self.coefficients = torch.cat((self.coefficients, torch.zeros_like(targets)))
        self._targets = torch.cat((self._targets, targets))
        self._answer = torch.cat((self._answer, torch.zeros_like(targets)))

    def solve(self) -> None:
        """Find α from where it stands, by Newton's method with a line search."""
        if not len(self):
            return
        self._values = self.kernel @ self.coefficients
        value = self._evaluate(self.coefficients, self._values)
        left, steps = self._distance(), 0
        while left > self.tolerance and steps < self.newton_steps:
            steps += 1
            direction = self._direction()
            moved = self._search(value, direction)
            if moved is None:
                # The objective can't be lowered any more in double precision.
                break
            value, left = moved, self._distance()
        self.residual = max(self.residual, left)

    def respond(self, pull: Tensor) -> Tensor:
        """Find how the inverse Hessian changes a function, by its values on the rows.

        Args:
            pull: g on the rows, float64 `[m, C]`.

        Returns:
            b, float64 `[m, C]`: 2λ H⁻¹ g = g − Σ_j b_j K(x_j, ·).
        """
        if not len(self):
            return pull
        forth, back = self._factor()
        self._answer, left = self._invert(back(pull), self._answer, 1e-6, LOOSE)
        self.linear_residual = max(self.linear_residual, left)
        return forth(self._answer)

    def _shares(self) -> Tensor:
        """Return w / 2λm, `[m, 1]`."""
        return (self.weights / (2 * self.ridge * len(self))).unsqueeze(1)

    def _evaluate(self, coefficients: Tensor, values: Tensor) -> float:
        """Return the objective at α with values Kα; keep probabilities and errors."""
        logs = values.log_softmax(dim=1)
        losses = -(logs * self._targets).sum(dim=1)
        self._probabilities = logs.exp()
        self.errors = self._probabilities - self._targets
        penalty = self.ridge * (coefficients * values).sum()
        return float((self.weights * losses).sum() / len(self) + penalty)

    def _gap(self) -> Tensor:
        """Return ρ."""
        return self.coefficients + self._shares() * self.errors

    def _distance(self) -> float:
        """Return |ρ| as a share of what α shall equal, |diag(w) R / 2λm|: 1 where α is 0."""
        goal = float((self._shares() * self.errors).norm())
        return float(self._gap().norm()) / goal if goal > 0 else 0.0

    def _factor(self) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
        """Return the products with L and with its transpose."""
        probabilities = self._probabilities
        scaled = (self._shares() * probabilities).sqrt()

        def forth(z: Tensor) -> Tensor:
            product = scaled * z
            return product.addcmul_(probabilities, product.sum(dim=1, keepdim=True), value=-1)

        def back(v: Tensor) -> Tensor:
            return scaled * (v - (probabilities * v).sum(dim=1, keepdim=True))

        return forth, back

    def _direction(self) -> Tensor:
        forth, back = self._factor()
        gap = self._gap()
        answer, _ = self._invert(back(self.kernel @ gap), None, CLOSE, CLOSE)
        return forth(answer) - gap

    def _invert(
        self, right: Tensor, start: Tensor | None, tolerance: float, enough: float
    ) -> tuple[Tensor, float]:
        """Solve (I + Lᵀ K L) z = right.

        Args:
            right: Float64 `[m, C]`.
            start: Where conjugate gradients begin; None for 0.
            tolerance: The relative residual at which they stop.
            enough: The one with which they may be left.

        Returns:
            z and its relative residual.
        """
        forth, back = self._factor()

        def apply(z: Tensor) -> Tensor:
            return z + back(self.kernel @ forth(z))

        if right.numel() > SMALL:
            answer, left = _conjugate_gradients(apply, right, start, self.linear_steps, tolerance)
            if left <= enough or right.numel() > DENSE:
                return answer, left
        length = float(right.norm())
        if not length > 0:
            return torch.zeros_like(right), 0.0
        answer = torch.cholesky_solve(right.reshape(-1, 1), self._triangle()).view_as(right)
        return answer, float((right - apply(answer)).norm()) / length

    def _triangle(self) -> Tensor:
        """Return the Cholesky factor of I + Lᵀ K L."""
        rows, classes = self._probabilities.shape
        scaled = (self._shares() * self._probabilities).sqrt()
        factor = torch.diag_embed(scaled) - self._probabilities.unsqueeze(2) * scaled.unsqueeze(1)
        factor = factor.transpose(0, 1).reshape(classes, rows * classes)
        matrix = (factor.T @ factor).view(rows, classes, rows, classes)
        matrix *= self.kernel[:, None, :, None]
        matrix = matrix.view(rows * classes, rows * classes)
        matrix.diagonal().add_(1)
        triangle: Tensor = torch.linalg.cholesky(matrix)
        return triangle

    def _search(self, value: float, direction: Tensor) -> float | None:
        """Step along a direction, halved until the objective falls enough."""
        change = self.kernel @ direction
        slope = 2 * self.ridge * float((self._gap() * change).sum())
        # A fall that small is lost in the rounding of the objective.
        lost = 1e-12 * abs(value)
        allowed = lost if -slope < lost else 0.0
        length = 1.0
        for _ in range(30):
            coefficients = self.coefficients + length * direction
            values = self._values + length * change
            reached = self._evaluate(coefficients, values)
            if reached <= value + 1e-4 * length * slope + allowed:
                self.coefficients, self._values = coefficients, values
                return reached
            length /= 2
        self._evaluate(self.coefficients, self._values)
        return None


def _conjugate_gradients(
    apply: Callable[[Tensor], Tensor],
    right: Tensor,
    start: Tensor | None,
    steps: int,
    tolerance: float,
) -> tuple[Tensor, float]:
    """Solve a symmetric positive definite system.

    Args:
        apply: The product with its matrix.
        right: Right-hand side.
        start: Where to begin; None for 0.
        steps: The most products.
        tolerance: Residual to reach, as a share of the length of the right-hand side.

    Returns:
        The solution so far and its relative residual.
    """
    length = float(right.norm())
    if not length > 0:
        return torch.zeros_like(right), 0.0
    answer = torch.zeros_like(right) if start is None else start.clone()
    rest = right.clone() if start is None else right - apply(answer)
    direction = rest.clone()
    square = float((rest * rest).sum())
    goal = (tolerance * length) ** 2
    for _ in range(steps):
        if square <= goal:
            break
        product = apply(direction)
        size = square / float((direction * product).sum())
        answer.add_(direction, alpha=size)
        rest.sub_(product, alpha=size)
        before, square = square, float((rest * rest).sum())
        direction = torch.add(rest, direction, alpha=square / before)
    return answer, square**0.5 / length
