"""The closed form against networks of finite width, and against integrals done numerically."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from clcore.errors import ArgumentError
from clcore.geometry import neural_tangent_kernel as module
from clcore.geometry.neural_tangent_kernel import neural_tangent_kernel


def rows(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def measured(x, depth, width, seed, weight_scale, bias_scale):
    """The products of the gradients of a network of finite width."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [x.shape[1], *[width] * depth, 1]
    parameters = []
    for fan_in, fan_out in pairwise(sizes):
        for shape in ((fan_out, fan_in), (fan_out,)):
            values = torch.randn(shape, generator=generator, dtype=torch.float64)
            parameters.append(values.requires_grad_())
    hidden = x
    for layer in range(depth + 1):
        weight, bias = parameters[2 * layer : 2 * layer + 2]
        hidden = weight_scale * hidden @ weight.T / weight.shape[1] ** 0.5 + bias_scale * bias
        hidden = hidden.relu() if layer < depth else hidden
    gradients = [torch.autograd.grad(y, parameters, retain_graph=True) for y in hidden.view(-1)]
    flat = torch.stack([torch.cat([g.view(-1) for g in row]) for row in gradients])
    return flat @ flat.T


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_wide_networks_have_this_kernel(depth):
    x = rows(4, 3)
    runs = [measured(x, depth, 600, seed, 1.3, 0.2) for seed in range(4)]
    kernel = neural_tangent_kernel(x, depth=depth, weight_scale=1.3, bias_scale=0.2)
    tolerance = 1e-12 if depth == 0 else 0.08
    assert torch.allclose(torch.stack(runs).mean(0), kernel, rtol=tolerance, atol=tolerance)


def gaussian_means(covariance):
    """E[relu(u) relu(v)] and E[relu'(u) relu'(v)], by summing over a grid in polar angles."""
    root = np.linalg.cholesky(covariance + 1e-15 * np.eye(2))
    angles = (np.arange(200_000) + 0.5) * 2 * np.pi / 200_000
    u, v = root @ np.stack((np.cos(angles), np.sin(angles)))
    both = (u > 0) & (v > 0)
    # The squared radius of a standard normal pair is 2 on average.
    return 2 * np.mean(both * u * v), np.mean(both)


@pytest.mark.parametrize("depth", [1, 3])
def test_recursion_by_numerical_integration(depth):
    x = rows(3, 5, seed=2)
    x[2] = -x[0]
    kernel = neural_tangent_kernel(x, depth=depth, weight_scale=0.9, bias_scale=0.1)
    sigma = (0.81 * x @ x.T / 5 + 0.01).numpy()
    theta = sigma.copy()
    for _ in range(depth):
        products, slopes = np.zeros((3, 3)), np.zeros((3, 3))
        for i in range(3):
            for j in range(3):
                pair = sigma[np.ix_([i, j], [i, j])]
                products[i, j], slopes[i, j] = gaussian_means(pair)
        sigma = 0.81 * products + 0.01
        theta = sigma + 0.81 * theta * slopes
    assert np.allclose(kernel.numpy(), theta, rtol=1e-4, atol=1e-4)


def test_blocks_change_nothing(monkeypatch):
    left, right = rows(23, 6), rows(11, 6, seed=1)
    whole = neural_tangent_kernel(left, right)
    monkeypatch.setattr(module, "_BLOCK", 25)
    assert torch.allclose(neural_tangent_kernel(left, right), whole, rtol=1e-13, atol=0)
    assert whole.shape == (23, 11)
    assert torch.allclose(neural_tangent_kernel(right, left), whole.T, rtol=1e-12, atol=0)


def test_it_is_a_kernel_and_knows_copies():
    x = rows(30, 4)
    x[7] = x[3]
    kernel = neural_tangent_kernel(x)
    assert torch.allclose(kernel[7], kernel[3], rtol=1e-7, atol=0)
    assert float(torch.linalg.eigvalsh(kernel).min()) > -1e-6
    single = neural_tangent_kernel(x.float())
    assert single.dtype == torch.float32
    assert torch.allclose(single.double(), kernel, rtol=2e-3, atol=0)


def test_rows_of_zeros_without_a_bias():
    x = torch.zeros(2, 3, dtype=torch.float64)
    x[1] = 1
    kernel = neural_tangent_kernel(x, bias_scale=0.0)
    assert torch.equal(kernel[0], torch.zeros(2, dtype=torch.float64))
    # On the diagonal all angles are 0: 1, then halved by each ReLU in both of its parts.
    assert float(kernel[1, 1]) == pytest.approx(3 / 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": -1}, "depth must be a whole number of at least 0"),
        ({"depth": 1.5}, "depth must be a whole number"),
        ({"weight_scale": 0.0}, "weight_scale must be a finite number above 0"),
        ({"bias_scale": -0.1}, "bias_scale must be a finite number at least 0"),
        ({"bias_scale": math.nan}, "bias_scale must be a finite"),
        ({"right": torch.zeros(3, 4)}, "same, positive width"),
        ({"left": torch.zeros(3)}, "must be matrices"),
    ],
)
def test_bad_arguments_are_refused(change, message):
    arguments = {"left": torch.zeros(3, 5), **change}
    with pytest.raises(ArgumentError, match=message):
        neural_tangent_kernel(**arguments)
