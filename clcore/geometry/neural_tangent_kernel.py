"""The neural tangent kernel of fully connected ReLU networks of infinite width, in closed form.

Source: Jacot, Gabriel & Hongler, "Neural tangent kernel: convergence and generalization in neural
networks", NeurIPS 2018; the arc-cosine formulas are Cho & Saul's, NeurIPS 2009. As the proxy of a
bilevel coreset: Borsos et al. 2020 (`clcore.selectors.greedy_coreset`).

A layer is y = σ_w W x / √d + σ_b b with standard normal W and b. With q the diagonal of Σ and
c = cos θ = Σ(x, y) / √(q(x) q(y)),

    Σ ← σ_w² ⟨x, y⟩ / d + σ_b²,  Θ ← Σ                       (the first layer)
    Σ' = √(q(x) q(y)) (sin θ + (π − θ) cos θ) / 2π,  Θ' = Θ (π − θ) / 2π          (ReLU)
    Σ ← σ_w² Σ' + σ_b²,  Θ ← Σ + σ_w² Θ'                     (each further layer)

Θ is the kernel of gradient descent on all weights and biases. The defaults σ_w = 1 and σ_b = 0.05
are those of Borsos et al.'s code.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from clcore.checks import whole_number
from clcore.errors import ArgumentError

_BLOCK = 1 << 18
"""Entries worked on at once: the temporaries stay in the cache."""


def neural_tangent_kernel(
    left: Tensor,
    right: Tensor | None = None,
    *,
    depth: int = 2,
    weight_scale: float = 1.0,
    bias_scale: float = 0.05,
) -> Tensor:
    """Compute the kernel between two sets of rows, block by block.

    Args:
        left: Floating-point `[n, d]`.
        right: `[m, d]` of the same type; `left` itself if left out.
        depth: Hidden ReLU layers; 0 is the linear kernel with a bias.
        weight_scale: σ_w, positive.
        bias_scale: σ_b, at least 0.

    Returns:
        Θ, `[n, m]`, of the type of `left`.

    Raises:
        ArgumentError: If the shapes don't go together, or an option is out of range.
    """
    right = left if right is None else right
    depth = whole_number("depth", depth)
    for name, scale, least in (
        ("weight_scale", weight_scale, "above"),
        ("bias_scale", bias_scale, "at least"),
    ):
        good = math.isfinite(scale) and (scale > 0 if least == "above" else scale >= 0)
        if not good:
            raise ArgumentError(f"{name} must be a finite number {least} 0, not {scale!r}")
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[1] or left.shape[1] == 0:
        raise ArgumentError(
            "left and right must be matrices of the same, positive width, not "
            f"{tuple(left.shape)} and {tuple(right.shape)}"
        )
    variances = weight_scale**2, bias_scale**2
    left_squares, right_squares = (_diagonals(rows, depth, variances) for rows in (left, right))
    kernel = left.new_empty(len(left), len(right))
    step = max(1, _BLOCK // max(1, len(right)))
    for start in range(0, len(left), step):
        block = slice(start, start + step)
        squares = [square[block].unsqueeze(1) for square in left_squares]
        kernel[block] = _block(left[block], right, squares, right_squares, variances)
    return kernel


def _diagonals(rows: Tensor, depth: int, variances: tuple[float, float]) -> list[Tensor]:
    """Return √q before each ReLU, `[n]` each."""
    weight, bias = variances
    square = rows.square().sum(dim=1) * (weight / rows.shape[1]) + bias
    roots = []
    for _ in range(depth):
        roots.append(square.sqrt())
        square = square * (weight / 2) + bias
    return roots


def _block(
    left: Tensor,
    right: Tensor,
    left_roots: list[Tensor],
    right_roots: list[Tensor],
    variances: tuple[float, float],
) -> Tensor:
    weight, bias = variances
    covariance = (left @ right.T).mul_(weight / left.shape[1]).add_(bias)
    tangent = covariance.clone()
    for rows, columns in zip(left_roots, right_roots, strict=True):
        lengths = rows * columns
        # Where a row is 0 before the ReLU it is 0 after it, whatever the angle is taken to be.
        cosine = (covariance / lengths.clamp_min(torch.finfo(lengths.dtype).tiny)).clamp_(-1, 1)
        rest = math.pi - torch.acos(cosine)
        sine = (1 - cosine * cosine).clamp_min_(0).sqrt_()
        covariance = (
            cosine.mul_(rest).add_(sine).mul_(lengths).mul_(weight / (2 * math.pi)).add_(bias)
        )
        tangent.mul_(rest).mul_(weight / (2 * math.pi)).add_(covariance)
    return tangent
