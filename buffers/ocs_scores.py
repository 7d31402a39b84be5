"""The three scores of online coreset selection, from inner products of gradients alone.

Source: Yoon et al. 2022, "Online Coreset Selection for Rehearsal-based Continual Learning" (ICLR).

With K the matrix of inner products of per-sample gradients, 1 the vector of ones and B the stream
batch, ⟨g_b, Σ_p g_p⟩ is a row sum of K and ‖Σ_p g_p‖² is the sum of all its entries, so no gradient
and no mean of gradients is ever written down. A mean and a sum have the same cosine.
"""

from __future__ import annotations

import torch
from torch import Tensor

from buffers.gradients import cosines


def ocs_scores(products: Tensor, coreset: int, tau: float) -> Tensor:
    """Score the rows of a stream batch.

    Args:
        products: `[s + m, s + m]`, the rows of the coreset first.
        coreset: Number s of rows of the coreset; 0 leaves the affinity out.
        tau: Weight of the affinity.

    Returns:
        `[m]` float64: similarity + diversity + tau · affinity.
    """
    exact = products.double()
    scores = _without_affinity(exact[coreset:, coreset:])
    if coreset:
        scores += tau * coreset_affinity(exact, coreset)
    return scores


def ocs_scores_with_mean(products: Tensor, across: Tensor, square: Tensor, tau: float) -> Tensor:
    """Score the rows of a stream batch where only the mean gradient of the coreset is known.

    Args:
        products: `[m, m]`, of the rows of the batch.
        across: `[m]`, of them with the mean gradient of the coreset.
        square: `[]`, squared length of that mean.
        tau: Weight of the affinity.

    Returns:
        `[m]` float64, as `ocs_scores`.
    """
    exact = products.double()
    affinity = _ratio(across.double(), exact.diagonal(), square.double())
    return _without_affinity(exact) + tau * affinity


def _without_affinity(products: Tensor) -> Tensor:
    return minibatch_similarity(products) + sample_diversity(products)


def minibatch_similarity(products: Tensor) -> Tensor:
    """Cosine of each row's gradient and the mean gradient of the batch.

    Args:
        products: `[m, m]`.

    Returns:
        `[m]` within [−1, 1]; 0 where one of the two gradients is all zero.
    """
    return _ratio(products.sum(dim=1), products.diagonal(), products.sum())


def sample_diversity(products: Tensor) -> Tensor:
    """Minus the mean cosine of each row's gradient and those of the other rows.

    Args:
        products: `[m, m]`.

    Returns:
        `[m]` within [−1, 1]; 0 for a batch of one row.
    """
    among = cosines(products)
    return -(among.sum(dim=1) - among.diagonal()) / max(1, len(among) - 1)


def coreset_affinity(products: Tensor, coreset: int) -> Tensor:
    """Cosine of each row's gradient and the mean gradient of the coreset.

    Args:
        products: `[s + m, s + m]`, the rows of the coreset first.
        coreset: Number s of rows of the coreset.

    Returns:
        `[m]` within [−1, 1]; 0 where one of the two gradients is all zero.
    """
    across = products[coreset:, :coreset].sum(dim=1)
    own = products.diagonal()[coreset:]
    return _ratio(across, own, products[:coreset, :coreset].sum())


def _ratio(inner: Tensor, square: Tensor, other_square: Tensor) -> Tensor:
    """Inner products over lengths; 0 where a length is 0."""
    # Rounding can make the square of a mean that all but cancels slightly negative, or a cosine
    # slightly larger than 1.
    lengths = (square.clamp_min(0) * other_square.clamp_min(0)).sqrt()
    return torch.where(lengths > 0, inner / lengths, torch.zeros_like(inner)).clamp(-1, 1)
