"""Kernels in torch and in the compiled loops are the same function."""

import pytest
import torch

from clcore import ArgumentError
from clcore.geometry.kernel_loops import kappa
from clcore.geometry.kernels import Kernel, Shape, coverage_kernel, distance_kernel

CASES = [
    distance_kernel("euclidean", 9.0),
    distance_kernel("squared", 9.0),
    distance_kernel("cosine", 2.0),
    coverage_kernel("rbf", 0.7),
    coverage_kernel("laplace", 0.7),
    coverage_kernel("student-t", 0.7),
    coverage_kernel("top-hat", 0.7),
    coverage_kernel("top-hat", 0.7, 0.01),
]


@pytest.mark.parametrize("kernel", CASES)
def test_torch_and_compiled_agree_and_fall(kernel: Kernel):
    squared = torch.linspace(0, 4, 33, dtype=torch.float64)
    values = kernel.of(squared.clone())
    compiled = [kappa(s, *kernel.numbers) for s in squared.tolist()]
    torch.testing.assert_close(values, torch.tensor(compiled, dtype=torch.float64))
    assert bool((values.diff() <= 0).all())
    assert float(values[0]) == pytest.approx(kernel.top)
    assert kernel.floor <= float(values[-1])


def test_a_tie_break_is_kept_in_double_precision():
    kernel = coverage_kernel("top-hat", 1.0, 1e-6)
    near, far = kernel.of(torch.tensor([0.10, 0.11])).tolist()
    assert near > far
    assert kernel.working_type(torch.float32) is torch.float64


def test_wrong_arguments_are_named():
    with pytest.raises(ArgumentError, match="metric"):
        distance_kernel("chebyshev", 1.0)
    for bad in (0, -1.0, float("inf"), True):
        with pytest.raises(ArgumentError, match="bandwidth"):
            coverage_kernel("rbf", bad)
    assert distance_kernel("euclidean", 0.0).floor == -1.0
    assert coverage_kernel("rbf", 1.0).shape == Shape.RBF
