"""Kernel mean matching against its formula, with the whole kernel matrix."""

import pytest
import torch

from clcore import ArgumentError, Pool
from clcore.maximisers import create
from clcore.objectives.kernel_mean import KernelMean
from clcore.testing import example_pool


def kernel_matrix(x, kernel, bandwidth):
    distance = torch.cdist(x, x) / bandwidth
    return {
        "rbf": torch.exp(-distance.square()),
        "laplace": torch.exp(-distance),
        "student-t": 1 / (1 + distance.square()),
        "top-hat": (distance <= 1).double(),
    }[kernel]


@pytest.mark.parametrize("kernel", ["rbf", "laplace", "student-t", "top-hat"])
def test_value_is_the_formula(kernel):
    pool = example_pool(30, seed=2)
    matrix = kernel_matrix(pool.signal("features"), kernel, 3.0)
    shares = pool.weights / pool.weights.sum()
    rows = [3, 17, 4, 29]
    norm = shares @ matrix @ shares
    difference = shares.clone()
    difference[rows] -= 1 / len(rows)
    mmd = difference @ matrix @ difference
    function = KernelMean(pool, kernel, 3.0)
    assert function.ceiling() == pytest.approx(float(norm))
    assert function.evaluate(rows) == pytest.approx(float(norm - mmd))


def test_greedy_beats_random_picks():
    pool = example_pool(200, seed=1)
    function = KernelMean(pool)
    picks = create("plain").maximise(function.fresh(), 10).rows
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        drawn = torch.randperm(200, generator=generator)[:10]
        assert function.evaluate(picks) > function.evaluate(drawn)


def test_the_bandwidth_left_out_is_the_typical_distance():
    x = torch.tensor([[0.0], [6.0]], dtype=torch.float64)
    # Of the four ordered pairs two are 6 apart: √18.
    assert KernelMean(Pool(features=x)).options["bandwidth"] == pytest.approx(18**0.5)


def test_wrong_options():
    pool = Pool(features=torch.eye(3))
    with pytest.raises(ArgumentError, match="kernel must be one of"):
        KernelMean(pool, "cubic")
    with pytest.raises(ArgumentError, match="bandwidth must be a positive number"):
        KernelMean(pool, bandwidth=0.0)
