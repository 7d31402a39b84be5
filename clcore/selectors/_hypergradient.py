"""Derivatives through an inner optimum, by a curvature matrix known by its products only.

Source: Lorraine, Vicol & Duvenaud, "Optimizing millions of hyperparameters by implicit
differentiation", AISTATS 2020 (Neumann series); Pedregosa, "Hyperparameter optimization with
approximate gradient", ICML 2016 (conjugate gradients).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

from torch import Tensor

from clcore.selectors._proxy import Point

Product = Callable[[Tensor], Tensor]

_TOLERANCE = 1e-2
"""Residual of conjugate gradients, relative to the right-hand side, that is worth a warning."""


def weight_gradient(
    point: Point,
    weights: Tensor,
    shares: Tensor,
    decay: float,
    solve: Callable[[Product, Tensor], Tensor],
) -> Tensor:
    """Differentiate an outer loss for the weights of the inner loss that the model minimises.

    With θ*(w) = argmin Σ_i w_i l_i + μ/2 ‖θ‖² and the outer loss Σ_i a_i l_i(θ*(w)), the implicit
    function theorem gives −⟨∇l_i, H⁻¹ Σ_j a_j ∇l_j⟩.

    Args:
        point: The proxy at θ, exactly or nearly θ*(w).
        weights: w, `[n]`.
        shares: a, `[n]`.
        decay: μ.
        solve: (product, b) → an estimate of H⁻¹b.

    Returns:
        `[n]`.
    """
    slope = point.gradient(shares)
    return -point.along(solve(lambda v: point.hessian_times(v, weights) + decay * v, slope))


def largest_curvature(product: Product, start: Tensor, steps: int = 8) -> float:
    """Estimate the largest absolute eigenvalue by power iteration.

    Args:
        product: v → Hv, symmetric.
        start: Where to start, `[P]`; best rich in directions, as a gradient is.
        steps: How many products.

    Returns:
        An estimate, from below; 0 where the start is zero or has no curvature.
    """
    largest, vector = 0.0, start
    for _ in range(steps):
        length = float(vector.norm())
        if not length > 0:
            break
        vector = product(vector / length)
        largest = max(largest, float(vector.norm()))
    return largest


def neumann(product: Product, right: Tensor, rate: float, terms: int) -> Tensor:
    """Sum η Σ_{q=0}^{Q} (I − ηH)^q b, which tends to H⁻¹b where ηH has eigenvalues in (0, 2).

    Args:
        product: v → Hv.
        right: b, `[P]`.
        rate: η.
        terms: Q.

    Returns:
        `[P]`.
    """
    total, term = right.clone(), right
    for _ in range(terms):
        term = term - rate * product(term)
        total = total + term
    return rate * total


def conjugate_gradients(
    product: Product, right: Tensor, steps: int, tolerance: float = 1e-10
) -> Tensor:
    """Solve Hx = b for a positive definite H; warns where it stops far from the solution.

    Args:
        product: v → Hv.
        right: b, `[P]`.
        steps: The most products.
        tolerance: Relative residual at which to stop.

    Returns:
        The iterate with the least residual, `[P]`.
    """
    x = right * 0
    size = float(right @ right)
    if not size > 0:
        return x
    residual, direction = right, right
    square = size
    best, least = x, size
    why = f"after {steps} steps"
    for _ in range(steps):
        moved = product(direction)
        bend = float(direction @ moved)
        if not bend > 0:
            why = "at a direction without positive curvature"
            break
        x = x + direction * (square / bend)
        residual = residual - moved * (square / bend)
        old, square = square, float(residual @ residual)
        if square < least:
            best, least = x, square
        if square <= tolerance**2 * size:
            break
        direction = residual + direction * (square / old)
    if least > _TOLERANCE**2 * size:
        warnings.warn(
            f"conjugate gradients stopped {why} with a relative residual of "
            f"{(least / size) ** 0.5:.2g}; the best iterate is used. More terms or more decay help",
            stacklevel=2,
        )
    return best
