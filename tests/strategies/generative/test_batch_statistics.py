"""Statistics of a batch against hand computations, and what selections do to them."""

import numpy as np
import pytest
import scipy.linalg
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from clcore import ArgumentError, Pool, select
from strategies.generative import Moments, count_dispersion, frechet_distance, mode_counts


def test_modes_by_hand():
    modes = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    samples = torch.tensor([[0.1, 0.0], [0.0, -0.2], [4.0, 0.3], [3.0, 0.0]])
    found = mode_counts(samples, modes, radius=0.5)
    assert found.counts.tolist() == [2, 2, 0]
    assert found.covered == 2
    assert found.good_share == 0.75
    assert found.mean_distance == pytest.approx((0.1 + 0.2 + 0.3 + 1.0) / 4)
    assert found.dispersion == pytest.approx(np.std([2, 2, 0]) / np.mean([2, 2, 0]))
    assert mode_counts(samples, modes, radius=0.15).covered == 1


def test_dispersion_of_counts():
    assert count_dispersion(torch.tensor([3, 3, 3])) == 0
    assert count_dispersion(torch.tensor([8, 0, 0, 0, 0])) == pytest.approx(2)
    with pytest.raises(ArgumentError, match="not be empty or all zero"):
        count_dispersion(torch.zeros(3))


def test_frechet_distance_is_scipys():
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(50, 5, generator=generator, dtype=torch.float64)
    b = torch.randn(80, 5, generator=generator, dtype=torch.float64) @ torch.randn(
        5, 5, generator=generator, dtype=torch.float64
    )
    ca, cb = np.cov(a.numpy(), rowvar=False), np.cov(b.numpy(), rowvar=False)
    root = scipy.linalg.sqrtm(ca @ cb).real
    expected = float(((a.mean(0) - b.mean(0)) ** 2).sum()) + np.trace(ca + cb - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected)
    assert frechet_distance(b, Moments.of(a)) == pytest.approx(expected)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_of_fewer_rows_than_dimensions():
    few = torch.eye(6, dtype=torch.float64)[:3]
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-7)
    assert frechet_distance(few, few + 1) == pytest.approx(6)


def test_bad_input():
    x = torch.ones(4, 2)
    with pytest.raises(ArgumentError, match="at least two rows"):
        frechet_distance(x[:1], x)
    with pytest.raises(ArgumentError, match="2 and 3 numbers"):
        frechet_distance(x, torch.ones(4, 3))
    with pytest.raises(ArgumentError, match="radius must be above 0"):
        mode_counts(x, x, 0)
    with pytest.raises(ArgumentError, match="samples and modes must be"):
        mode_counts(x, torch.ones(2, 3), 1)


def test_what_each_selector_does_to_a_batch():
    """The table of docs/generative.md, from a fifth of its draws."""
    digits = load_digits()
    x = torch.from_numpy(PCA(16, svd_solver="full").fit_transform(digits.data / 16))
    data = Moments.of(x)
    found = {}
    for name in ("random", "k-center", "facility-location", "kernel-herding"):
        distances = []
        for draw in range(8):
            pool = torch.randperm(len(x), generator=torch.Generator().manual_seed(draw))[:512]
            picks = select(name, Pool(features=x[pool]), 64, seed=draw).indices
            distances.append(frechet_distance(x[pool[picks]], data))
        found[name] = sum(distances) / len(distances)
    assert found["random"] == pytest.approx(0.24, abs=0.06)
    assert found["kernel-herding"] < found["facility-location"] < found["random"]
    assert found["k-center"] == pytest.approx(0.212, abs=0.02)
    assert found["facility-location"] == pytest.approx(0.126, abs=0.01)
    assert found["kernel-herding"] == pytest.approx(0.061, abs=0.006)


def test_what_each_selector_does_to_modes():
    """25 Gaussians, 64 of 512: k-center covers all and sits too far out."""
    grid = torch.cartesian_prod(torch.arange(5.0), torch.arange(5.0)) * 2 - 4
    found = {}
    for name, options in (
        ("random", {}),
        ("k-center", {}),
        ("facility-location", {"metric": "squared"}),
    ):
        rows = []
        for draw in range(8):
            generator = torch.Generator().manual_seed(draw)
            mode = torch.randint(25, (512,), generator=generator)
            x = grid[mode] + 0.05 * torch.randn(512, 2, generator=generator)
            picks = select(name, Pool(features=x), 64, seed=draw, **options).indices
            counts = mode_counts(x[picks], grid, radius=0.2)
            rows.append([counts.covered, counts.dispersion, counts.mean_distance / 0.05])
        found[name] = np.mean(rows, axis=0)
    assert 22 < found["random"][0] < 24.5
    assert found["k-center"][0] == pytest.approx(25, abs=0.3)
    assert found["facility-location"][0] == 25
    assert found["k-center"][1] < 0.35 < 0.5 < found["random"][1]
    assert found["k-center"][2] > 1.8
    assert found["facility-location"][2] == pytest.approx(1.3, abs=0.06)
