"""The numbers that the methods' docstrings promise, on one clustered data set."""

import pytest
import torch

from clcore import Pool, select


@pytest.fixture(scope="module")
def clusters():
    """Make 5,000 rows of 100 Gaussian clusters, unequal in size and spread, in 64 dimensions."""
    generator = torch.Generator().manual_seed(0)
    centres = 3 * torch.randn(100, 64, generator=generator)
    sizes = torch.rand(100, generator=generator) + 0.05
    spreads = torch.rand(100, generator=generator) + 0.5
    which = torch.multinomial(sizes, 5000, replacement=True, generator=generator)
    noise = torch.randn(5000, 64, generator=generator)
    return centres[which] + noise * spreads[which, None]


@pytest.mark.parametrize(
    ("name", "mean_distance", "largest_radius"),
    [
        ("random", 9.8, 36),
        ("k-center", 9.6, 15.6),
        ("k-means-plus-plus", 9.2, 30),
        ("k-means", 8.65, 22),
    ],
)
def test_mean_distance_and_radius(clusters, name, mean_distance, largest_radius):
    picks = select(name, Pool(features=clusters), 500).indices
    nearest = torch.cdist(clusters, clusters[picks]).min(dim=1).values
    assert float(nearest.mean()) == pytest.approx(mean_distance, rel=0.02)
    assert float(nearest.max()) < largest_radius
