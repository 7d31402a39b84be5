"""Densities against scikit-learn, and where they could break."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors

from clcore.geometry import densities
from clcore.geometry.densities import gaussian_log_density, neighbour_radius, ppca_log_density


def rows(n, d, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    mixed = torch.randn(d, d, generator=generator, dtype=torch.float64)
    return x @ (mixed * torch.linspace(1, 0.01, d, dtype=torch.float64)) + 3


@pytest.mark.parametrize("shape", [(80, 5), (12, 20)])
@pytest.mark.parametrize("block", [2**22, 40])
def test_gaussian_is_the_mixture_of_one(shape, block, monkeypatch):
    monkeypatch.setattr(densities, "BLOCK", block)
    x = rows(*shape)
    expected = GaussianMixture(1, reg_covar=1e-5).fit(x.numpy()).score_samples(x.numpy())
    assert np.allclose(gaussian_log_density(x).numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(80, 9), (15, 20)])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_ppca_is_scikit_learns(shape, share, monkeypatch):
    monkeypatch.setattr(densities, "BLOCK", 50)
    x = rows(*shape)
    model = PCA(share, svd_solver="full").fit(x.numpy())
    assert 0 < model.n_components_ < min(shape)
    assert np.allclose(
        ppca_log_density(x, share).numpy(), model.score_samples(x.numpy()), rtol=1e-6
    )


@pytest.mark.parametrize("k", [1, 5])
def test_radius_is_that_of_nearest_neighbours(k, monkeypatch):
    monkeypatch.setattr(densities, "BLOCK", 100)
    x = rows(70, 6)
    far, _ = NearestNeighbors(n_neighbors=k).fit(x.numpy()).kneighbors()
    assert np.allclose(neighbour_radius(x, k).numpy(), far[:, -1], rtol=1e-7)


def test_single_precision_is_near():
    x = rows(60, 6)
    for density in (gaussian_log_density, ppca_log_density, neighbour_radius):
        assert torch.allclose(density(x.float()), density(x), rtol=1e-2, atol=1e-3)


def test_few_and_equal_rows_are_finite():
    for x in (rows(1, 3), torch.ones(4, 3), rows(2, 5)):
        for density in (gaussian_log_density, ppca_log_density, neighbour_radius):
            assert bool(torch.isfinite(density(x)).all())
    assert neighbour_radius(rows(1, 3)).tolist() == [0]
    x = rows(3, 2)
    assert torch.allclose(neighbour_radius(x, 9), torch.cdist(x, x).max(dim=1).values)
