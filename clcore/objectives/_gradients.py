"""Gradients of a pool's rows, and the options that everything on them shares."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from clcore.errors import ArgumentError, SignalError
from clcore.geometry import as_matrix
from clcore.geometry.factored import FactoredPoints
from clcore.pool import Pool

LAST_LAYER = ("logit_gradients", "features")
"""The signals that the gradients of a last layer are made of."""


def gradient_points(pool: Pool, gradients: str, *, bias: bool = True) -> FactoredPoints:
    """Make the gradients of a pool's rows ready for products.

    Args:
        pool: Whose rows.
        gradients: `"last-layer"`, `"own-class"` or the name of a signal; see `GradientMatching`.
        bias: Whether the last layer has a bias.

    Returns:
        The gradients, factored where they can be.

    Raises:
        ArgumentError: If labels are needed and missing, or are no columns of the logits.
        SignalError: If a signal is missing.
    """
    for name in gradient_signals(gradients):
        if not pool.has(name):
            raise SignalError(
                f"gradients = {gradients!r} needs the signal {name!r}; "
                f"this pool has {', '.join(pool.names) or 'none'}"
            )
    if gradients not in ("last-layer", "own-class"):
        return FactoredPoints(as_matrix(pool.signal(gradients)))
    errors = as_matrix(pool.signal("logit_gradients"))
    features = as_matrix(pool.signal("features")).to(errors.dtype)
    if gradients == "own-class":
        errors = _own_class(errors, pool.labels)
    return FactoredPoints(errors, features, bias=bias)


def gradient_signals(gradients: str) -> tuple[str, ...]:
    """Name the signals that a kind of gradients is made of.

    Args:
        gradients: See `GradientMatching`.

    Returns:
        Their names.

    Raises:
        ArgumentError: If it is no name at all.
    """
    if not isinstance(gradients, str):
        raise ArgumentError(
            "gradients must be 'last-layer', 'own-class' or the name of a signal, "
            f"not {gradients!r}"
        )
    return LAST_LAYER if gradients in ("last-layer", "own-class") else (gradients,)


def _own_class(errors: Tensor, labels: Tensor | None) -> Tensor:
    """Leave of each row's errors the one of its label: `[n, 1]` where all labels are the same."""
    if labels is None:
        raise ArgumentError("gradients = 'own-class' needs a pool with labels; this one has none")
    low, high = labels.min(), labels.max()
    if int(low) < 0 or int(high) >= errors.shape[1]:
        raise ArgumentError(
            f"gradients = 'own-class' needs labels from 0 to {errors.shape[1] - 1}, the columns of "
            f"logit_gradients; they go from {int(low)} to {int(high)}"
        )
    if low == high:
        return errors[:, int(low)].unsqueeze(1).contiguous()
    return errors * nn.functional.one_hot(labels, errors.shape[1])


def matching_target(
    pool: Pool, points: FactoredPoints, gradients: str, bias: bool, validation: Pool | None
) -> Tensor:
    """Add up the gradients that are to be matched.

    Args:
        pool: The candidates.
        points: Their gradients.
        gradients: Which kind; see `GradientMatching`.
        bias: Whether the last layer has a bias.
        validation: Rows whose mean, times the weight of the pool, is wanted; None for the pool's
            own weighted sum.

    Returns:
        float64 `[C, d + 1]`, on the pool's device.

    Raises:
        ArgumentError: If the gradients of the validation rows have another shape.
        SignalError: If they lack a signal.
    """
    total = row_weights(pool)
    if validation is None:
        return _sum_of(points, total)
    others = gradient_points(validation, gradients, bias=bias)
    if others.shape != points.shape:
        raise ArgumentError(
            f"validation has gradients of shape {others.shape} where the pool's are {points.shape}"
        )
    weights = row_weights(validation)
    share = float(total.sum() / weights.sum().clamp_min(torch.finfo(torch.float64).tiny))
    return _sum_of(others, weights * share).to(points.device)


def _sum_of(points: FactoredPoints, weights: Tensor) -> Tensor:
    """Add up weighted gradients; a sum that is nothing but rounding is 0: nothing can match it."""
    total = points.sums(weights)
    lengths = float((weights * points.squares.double().sqrt()).sum())
    return total if float(total.norm()) > 1e-14 * lengths else torch.zeros_like(total)


def scaled(fitted: Tensor, pool: Pool) -> Tensor:
    """Scale weights by one factor to sum to the weight of the pool.

    Args:
        fitted: float64 `[k]`, none negative.
        pool: Whose weight, or size.

    Returns:
        float64 `[k]`; all alike where every given weight is 0.
    """
    total, shares = row_weights(pool).sum(), fitted
    if not float(fitted.sum()) > 0:
        shares = torch.ones_like(fitted)
    return shares * (total / shares.sum()) if len(shares) else shares


def check_ridge(ridge: Any) -> None:
    """Refuse a penalty that is none.

    Raises:
        ArgumentError: If it is not a finite number of at least 0.
    """
    good = isinstance(ridge, int | float) and not isinstance(ridge, bool)
    if not (good and math.isfinite(ridge) and ridge >= 0):
        raise ArgumentError(f"ridge must be a finite number of at least 0, not {ridge!r}")


def check_pool(name: str, pool: Any) -> None:
    """Refuse what is neither a pool with rows nor None.

    Raises:
        ArgumentError: If it is something else, or empty.
    """
    if pool is None:
        return
    if not isinstance(pool, Pool):
        raise ArgumentError(f"{name} must be a clcore.Pool or None, not {type(pool).__name__}")
    if len(pool) == 0:
        raise ArgumentError(f"{name} is a pool without rows")


def row_weights(pool: Pool) -> Tensor:
    """Return how much each row of a pool counts: float64 `[n]`, ones where nothing is said."""
    if pool.weights is not None:
        return pool.weights.double()
    return torch.ones(len(pool), dtype=torch.float64, device=pool.device)
