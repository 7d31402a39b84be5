"""Precision and recall against their definition, and the trade that instance selection makes."""

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from clcore import ArgumentError, Pool, SignalError, select
from strategies.generative import precision_recall


def normal(n, d, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("k", [1, 3])
def test_by_loops(k):
    real, made = normal(25, 3, 0), 0.7 * normal(18, 3, 1) + 0.5

    def share(rows, others):
        hits = 0
        for row in rows:
            for place, other in enumerate(others):
                far = sorted(
                    float((other - third).norm()) for p, third in enumerate(others) if p != place
                )
                if float((row - other).norm()) <= far[k - 1]:
                    hits += 1
                    break
        return hits / len(rows)

    found = precision_recall(real, made, neighbours=k)
    assert found.precision == pytest.approx(share(made, real))
    assert found.recall == pytest.approx(share(real, made))


def test_extremes():
    real = normal(100, 2, 0)
    assert precision_recall(real, real).precision == 1
    assert precision_recall(real, real + 100).precision == 0
    narrow = precision_recall(real, 0.05 * normal(100, 2, 1))
    assert narrow.precision > 0.9
    assert narrow.recall < 0.1
    wide = precision_recall(0.05 * real, normal(100, 2, 1))
    assert wide.precision < 0.1
    assert wide.recall > 0.9


def test_instance_selection_trades_recall_for_precision():
    """A Gaussian a class, fitted to what is kept, as the generator."""
    digits = load_digits()
    x = torch.from_numpy(PCA(16, svd_solver="full").fit_transform(digits.data / 16))
    y = torch.from_numpy(digits.target).long()
    found = {}
    for retention in (1.0, 0.5, 0.2):
        kept = select("instance-selection", Pool(features=x, labels=y), retention_of(x, retention))
        generator = torch.Generator().manual_seed(0)
        samples = []
        for label in range(10):
            rows = x[kept.indices[y[kept.indices] == label]]
            factor = torch.linalg.cholesky(torch.cov(rows.T) + 1e-9 * torch.eye(16).double())
            noise = torch.randn(100, 16, generator=generator, dtype=torch.float64)
            samples.append(rows.mean(dim=0) + noise @ factor.T)
        found[retention] = precision_recall(x[::2], torch.cat(samples))
    assert found[1.0].precision < found[0.5].precision < found[0.2].precision
    assert found[1.0].recall > found[0.5].recall > found[0.2].recall
    assert found[0.2].precision > found[1.0].precision + 0.1


def retention_of(x, share):
    return len(x) if share == 1 else share


def test_bad_input():
    real = normal(9, 3, 0)
    with pytest.raises(ArgumentError, match="generated has 3 rows, and 3 neighbours need 4"):
        precision_recall(real, real[:3])
    with pytest.raises(ArgumentError, match="3 and 2 numbers a row"):
        precision_recall(real, real[:, :2])
    with pytest.raises(ArgumentError, match="neighbours must be a whole number"):
        precision_recall(real, real, neighbours=0)
    with pytest.raises(SignalError, match="'real' holds NaN"):
        precision_recall(real * torch.nan, real)
