"""What a batch looks like beside the data: modes covered, evenness of counts, Fréchet distance.

Source: the Fréchet distance of two Gaussians, Dowson & Landau, "The Fréchet distance between
multivariate normal distributions", 1982; on Inception features it is FID (Heusel et al., 2017). On
any other features it is called by their name, never plain FID.

Formula: with means μ and covariances Σ (dividing by n − 1),

    d² = ‖μ₁ − μ₂‖² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁^½ Σ₂ Σ₁^½)^½,

in double precision, by the eigenvalues of a symmetric matrix, so that singular covariances (a batch
smaller than its dimension) need no correction.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clcore.errors import ArgumentError
from strategies.generative.picking import vectors_of


@dataclass(frozen=True)
class ModeCounts:
    """How samples fall on known modes.

    Attributes:
        counts: int64 `[m]`: samples nearest to each mode, good or not.
        covered: Modes with at least one good sample.
        dispersion: Standard deviation of `counts` over their mean (dividing by m): 0 is even.
        good_share: Share of good samples: within the radius of their mode.
        mean_distance: Mean distance of all samples to their mode.
        good_counts: int64 `[m]`: good samples of each mode.
    """

    counts: Tensor
    covered: int
    dispersion: float
    good_share: float
    mean_distance: float
    good_counts: Tensor


def mode_counts(samples: Tensor, modes: Tensor, radius: float) -> ModeCounts:
    """Count samples by their nearest mode.

    Args:
        samples: Floating-point `[n, d]`.
        modes: Floating-point `[m, d]`: the centres.
        radius: Up to which distance a sample counts as good; 4 σ is usual for Gaussians in a grid
            (Small-GAN's replication), 3 σ in the literature before it.

    Returns:
        The counts and what follows from them.

    Raises:
        ArgumentError: If the shapes differ or the radius is not above 0.
        SignalError: If a sample is NaN or infinite.
    """
    samples, modes = vectors_of("samples", samples), vectors_of("modes", modes)
    if samples.ndim != 2 or modes.ndim != 2 or samples.shape[1] != modes.shape[1]:
        raise ArgumentError(
            f"samples and modes must be [n, d] and [m, d], not {tuple(samples.shape)} and "
            f"{tuple(modes.shape)}"
        )
    if not radius > 0:
        raise ArgumentError(f"radius must be above 0, not {radius!r}")
    far, place = torch.cdist(samples.double(), modes.double().to(samples.device)).min(dim=1)
    counts = torch.bincount(place, minlength=len(modes))
    good = far <= radius
    return ModeCounts(
        counts,
        len(torch.unique(place[good])),
        count_dispersion(counts),
        float(good.double().mean()),
        float(far.mean()),
        torch.bincount(place[good], minlength=len(modes)),
    )


def count_dispersion(counts: Tensor) -> float:
    """Return the standard deviation of counts over their mean (coefficient of variation).

    Args:
        counts: Numbers `[m]`, of classes or modes; not all zero.

    Returns:
        0 where all are equal; of one mode out of m alone √(m − 1).

    Raises:
        ArgumentError: If there are none, or they are all zero.
    """
    values = counts.double()
    if values.numel() == 0 or not float(values.sum()) > 0:
        raise ArgumentError("counts must not be empty or all zero")
    return float(values.std(unbiased=False) / values.mean())


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and covariance of vectors, kept so that the data's are computed once.

    Attributes:
        mean: float64 `[d]`.
        covariance: float64 `[d, d]`.
    """

    mean: Tensor
    covariance: Tensor

    @classmethod
    def of(cls, vectors: Tensor) -> Moments:
        """Compute them.

        Args:
            vectors: Floating-point `[n, ...]`, n at least 2; further dimensions are flattened.

        Raises:
            ArgumentError: If there are fewer than two rows.
            SignalError: If one is NaN or infinite.
        """
        rows = vectors_of("vectors", vectors)
        rows = rows.reshape(len(rows), -1).double()
        if len(rows) < 2:
            raise ArgumentError("a covariance needs at least two rows")
        mean = rows.mean(dim=0)
        centred = rows - mean
        return cls(mean, centred.t() @ centred / (len(rows) - 1))


def frechet_distance(first: Tensor | Moments, second: Tensor | Moments) -> float:
    """Compute the squared Fréchet distance of the Gaussians fitted to two sets of vectors.

    Args:
        first: Vectors `[n, d]`, or their moments.
        second: Vectors `[m, d]`, or their moments.

    Returns:
        d², not negative; it is biased upwards by about d/n of the covariance where n is small.

    Raises:
        ArgumentError: If there are fewer than two rows, or the dimensions differ.

    Example:
        >>> x = torch.randn(100, 3)
        >>> round(frechet_distance(x, x + 2.0), 4)
        12.0
    """
    one = first if isinstance(first, Moments) else Moments.of(first)
    two = second if isinstance(second, Moments) else Moments.of(second)
    if one.mean.shape != two.mean.shape:
        raise ArgumentError(
            f"the vectors have {len(one.mean)} and {len(two.mean)} numbers: they must be features "
            "of the same kind"
        )
    apart = (one.mean - two.mean).square().sum()
    traces = one.covariance.trace() + two.covariance.trace()
    return max(0.0, float(apart + traces - 2 * _root_trace(one.covariance, two.covariance)))


def _root_trace(first: Tensor, second: Tensor) -> Tensor:
    """Return tr (A^½ B A^½)^½ of two symmetric matrices without negative eigenvalues."""
    values, vectors = torch.linalg.eigh(first)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.t()
    inner = root @ second @ root
    total: Tensor = torch.linalg.eigvalsh((inner + inner.t()) / 2).clamp_min(0).sqrt().sum()
    return total
