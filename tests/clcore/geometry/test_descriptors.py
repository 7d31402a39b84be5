"""Fréchet distances between images' descriptors: by scipy's root, bounds, layouts."""

import numpy as np
import pytest
import scipy.linalg
import torch

from clcore import SignalError
from clcore.geometry.descriptors import GaussianPoints, positions, spatial_moments


def maps(n, *shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, *shape, generator=generator, dtype=torch.float64)
    return x * torch.rand(n, *[1] * len(shape), generator=generator) * 3


def by_scipy(a, b, diagonal=False):
    """Distance of the Gaussians of two [C, L] arrays."""
    means = [x.mean(axis=1) for x in (a, b)]
    covariances = [np.cov(x, bias=True).reshape(len(x), len(x)) for x in (a, b)]
    if diagonal:
        covariances = [np.diag(np.diag(c)) for c in covariances]
    root = scipy.linalg.sqrtm(covariances[0])
    inner = scipy.linalg.sqrtm(root @ covariances[1] @ root).real
    return ((means[0] - means[1]) ** 2).sum() + np.trace(
        covariances[0] + covariances[1] - 2 * inner
    )


def test_diagonal_is_the_distance_of_moments():
    x = maps(5, 3, 2, 4)
    moments = spatial_moments(x)
    assert moments.shape == (5, 6)
    flat = x.flatten(2).numpy()
    for i in range(5):
        for j in range(i):
            squared = float((moments[i] - moments[j]).square().sum())
            assert squared == pytest.approx(by_scipy(flat[i], flat[j], diagonal=True), rel=1e-9)


@pytest.mark.parametrize("shape", [(3, 20), (4, 4)])
def test_full_is_scipys(shape):
    x = maps(6, *shape)
    points = GaussianPoints(x)
    for i in range(6):
        squared = points.exact(torch.arange(6), i)
        assert float(squared[i]) == 0
        for j in range(i):
            expected = by_scipy(x[i].numpy(), x[j].numpy())
            assert float(squared[j]) == pytest.approx(expected, rel=1e-6)
            assert expected >= by_scipy(x[i].numpy(), x[j].numpy(), diagonal=True) - 1e-9


def test_fewer_positions_than_channels():
    """scipy's root of a singular matrix is poor: the factor the other way round is the check."""
    x = maps(7, 8, 3)
    points = GaussianPoints(x)
    centred = (x - x.mean(dim=2, keepdim=True)) / 3**0.5
    covariance = centred @ centred.mT
    values, vectors = torch.linalg.eigh(covariance)
    roots = vectors * values.clamp_min(0).sqrt().unsqueeze(1) @ vectors.mT
    for i in range(7):
        norm = torch.linalg.svdvals(roots @ roots[i]).sum(dim=1)
        traces = covariance.diagonal(dim1=1, dim2=2).sum(dim=1)
        mean = x.mean(dim=2)
        expected = (mean - mean[i]).square().sum(dim=1) + traces + traces[i] - 2 * norm
        assert torch.allclose(points.exact(torch.arange(7), i), expected, atol=1e-6)


def test_the_running_minimum_is_exact_and_spares_distances():
    x = maps(60, 5, 3, 3)
    points, plain = GaussianPoints(x), GaussianPoints(x)
    least = torch.full((60,), torch.inf, dtype=torch.float64)
    exact = least.clone()
    for row in (3, 50, 7, 22, 41, 8, 30, 12):
        least = torch.minimum(least, points.to_row(torch.tensor([row])))
        exact = torch.minimum(exact, plain.exact(torch.arange(60), row))
    assert torch.allclose(least, exact)
    assert points.evaluations < plain.evaluations
    squared, place = GaussianPoints(x).nearest(torch.tensor([3, 50, 7]))
    all_three = torch.stack([plain.exact(torch.arange(60), row) for row in (3, 50, 7)])
    assert torch.allclose(squared, all_three.min(dim=0).values)
    assert torch.equal(place, all_three.argmin(dim=0))


def test_layouts():
    x = maps(4, 3, 2, 5)
    tokens = x.flatten(2).mT
    assert torch.equal(positions(x), positions(tokens, "last"))
    assert torch.allclose(spatial_moments(x), spatial_moments(tokens, "last"))
    one = maps(4, 6)
    assert torch.equal(spatial_moments(one)[:, :6], one)
    assert float(spatial_moments(one)[:, 6:].abs().max()) == 0
    assert spatial_moments(x.half()).dtype == torch.float32
    with pytest.raises(SignalError, match="must be maps"):
        positions(torch.zeros(3))
