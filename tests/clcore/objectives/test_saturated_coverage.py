"""Saturated coverage against its formula written out."""

import pytest
import torch

from clcore import ArgumentError, Pool
from clcore.objectives.saturated_coverage import SaturatedCoverage
from clcore.testing import example_pool


@pytest.mark.parametrize("saturation", [0.05, 0.3, 1.0])
def test_value_is_the_formula(saturation):
    pool = example_pool(30, seed=2)
    x = pool.signal("features")
    squared = torch.cdist(x, x).square()
    kernel = torch.exp(-squared / squared.mean())
    rows = [3, 17, 4, 29, 0]
    covered = torch.minimum(kernel[:, rows].sum(dim=1), saturation * kernel.sum(dim=1))
    function = SaturatedCoverage(pool, saturation)
    assert function.evaluate(rows) == pytest.approx(float(pool.weights @ covered))
    assert function.ceiling() == pytest.approx(float(pool.weights @ kernel.sum(dim=1)) * saturation)
    assert function.evaluate(range(30)) == pytest.approx(function.ceiling())


def test_a_bandwidth_of_the_users_own():
    x = torch.tensor([[0.0], [2.0]], dtype=torch.float64)
    function = SaturatedCoverage(Pool(features=x), 1.0, bandwidth=2.0)
    assert function.evaluate([0]) == pytest.approx(1 + 2.718281828**-1)


@pytest.mark.parametrize("saturation", [0, -0.1, 1.5, float("nan")])
def test_a_wrong_saturation(saturation):
    with pytest.raises(ArgumentError, match="saturation must be above 0 and at most 1"):
        SaturatedCoverage(Pool(features=torch.eye(3)), saturation)
