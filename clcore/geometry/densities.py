"""How dense the data is at each row: Gaussian, probabilistic principal components, neighbours.

Source: Tipping & Bishop, "Probabilistic principal component analysis", 1999; the three as scores
for pruning: DeVries, Drozdzal & Taylor, "Instance selection for GANs", NeurIPS 2020. Each is equal
to scikit-learn's: `GaussianMixture(1, reg_covar=r).score_samples`, `PCA(share).score_samples`, and
minus the distances of `NearestNeighbors` to the k-th other row.

All computations are in double precision.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from clcore.geometry.gathering import gathered

BLOCK = 2**22
"""Numbers that are turned into double precision, or distances that are held, at a time."""

FLOOR = 1e-12
"""Share of the largest variance, and of one, below which variances don't go."""


def gaussian_log_density(rows: Tensor, regularisation: float = 1e-5) -> Tensor:
    """Fit one Gaussian and return the log-density of each row.

    Args:
        rows: Floating-point `[n, d]`, n at least 1.
        regularisation: Added to the variances: with fewer rows than dimensions it decides.

    Returns:
        float64 `[n]`.
    """
    mean, covariance = _moments(rows, len(rows))
    covariance.diagonal().add_(regularisation)
    factor = torch.linalg.cholesky(covariance)
    constant = rows.shape[1] * math.log(2 * math.pi) + 2 * factor.diagonal().log().sum()
    parts = []
    for block in torch.split(rows, _step(rows)):
        white = torch.linalg.solve_triangular(factor, (block.double() - mean).t(), upper=False)
        parts.append(-0.5 * (white.square().sum(dim=0) + constant))
    return torch.cat(parts)


def ppca_log_density(rows: Tensor, variance: float = 0.95) -> Tensor:
    """Fit a Gaussian with principal components and equal noise, and return log-densities.

    As many components are kept as explain more than a share of the variance; the rest is noise of
    one variance, its mean over the other components. Variances below 1e-12 of the largest (or of 1)
    are raised to that, where scikit-learn divides by zero.

    Args:
        rows: Floating-point `[n, d]`, n at least 1.
        variance: The share, above 0 and below 1.

    Returns:
        float64 `[n]`.
    """
    size, channels = rows.shape
    mean, covariance = _moments(rows, max(1, size - 1))
    values, vectors = torch.linalg.eigh(covariance)
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
    rank = min(size, channels)
    share = values[:rank].cumsum(0) / values.sum().clamp_min(torch.finfo(torch.float64).tiny)
    kept = int(torch.searchsorted(share, variance, right=True)) + 1 if len(share) else 0
    kept = min(kept, rank)
    floor = FLOOR * max(1.0, float(values[0]))
    noise = max(floor, float(values[kept:rank].mean()) if kept < rank else 0.0)
    spread = values[:kept].clamp_min(floor)
    others = channels - kept
    constant = (
        channels * math.log(2 * math.pi) + float(spread.log().sum()) + others * math.log(noise)
    )
    parts = []
    for block in torch.split(rows, _step(rows)):
        centred = block.double() - mean
        along = centred @ vectors[:, :kept]
        rest = (centred.square().sum(dim=1) - along.square().sum(dim=1)).clamp_min(0)
        inside = (along.square() / spread).sum(dim=1)
        parts.append(-0.5 * (inside + rest / noise + constant))
    return torch.cat(parts)


def neighbour_radius(rows: Tensor, neighbours: int = 5) -> Tensor:
    """Return the distance of each row to its k-th nearest other row.

    Args:
        rows: Floating-point `[n, d]`, n at least 1.
        neighbours: k; cut to n − 1.

    Returns:
        float64 `[n]`; 0 where there is one row alone.
    """
    size = len(rows)
    k = min(neighbours, size - 1)
    if k == 0:
        return torch.zeros(size, dtype=torch.float64, device=rows.device)
    centred = rows.double() - rows.double().mean(dim=0)
    step = max(1, BLOCK // size)

    def radius(part: Tensor) -> Tensor:
        far = torch.cdist(centred[part], centred)
        far.diagonal(int(part[0])).fill_(torch.inf)
        return far.topk(k, dim=1, largest=False).values[:, -1]

    parts = torch.split(torch.arange(size, device=rows.device), step)
    return gathered(parts, radius, size, device=rows.device)


def _moments(rows: Tensor, divisor: int) -> tuple[Tensor, Tensor]:
    mean = rows.mean(dim=0, dtype=torch.float64)
    total = torch.zeros(rows.shape[1], rows.shape[1], dtype=torch.float64, device=rows.device)
    for block in torch.split(rows, _step(rows)):
        centred = block.double() - mean
        total.addmm_(centred.t(), centred)
    return mean, total / divisor


def _step(rows: Tensor) -> int:
    return max(1, BLOCK // max(1, rows.shape[1]))
