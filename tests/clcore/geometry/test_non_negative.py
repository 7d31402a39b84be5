"""Growing non-negative least squares against SciPy's solver on the whole problem."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from clcore.geometry.non_negative import NonNegativeLeastSquares


def problem(rows, d, seed, copies):
    generator = np.random.default_rng(seed)
    matrix = generator.normal(size=(rows, d)) + generator.normal(size=d)
    if copies:
        matrix[1::3] = matrix[0]  # dependent rows
    return matrix, generator.normal(size=d) * 3


def solved(matrix, target, ridge):
    padded = np.vstack([matrix.T, np.sqrt(ridge) * np.eye(len(matrix))])
    weights, length = nnls(padded, np.concatenate([target, np.zeros(len(matrix))]))
    return weights, target @ target - length**2


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    st.integers(1, 40), st.integers(1, 12), st.integers(0, 999), st.booleans(),
    st.sampled_from([0.0, 0.3, 50.0]),
)  # fmt: skip
def test_is_the_solution_at_every_size(rows, d, seed, copies, ridge):
    matrix, target = problem(rows, d, seed, copies)
    fit = NonNegativeLeastSquares(float(target @ target), ridge)
    for m, row in enumerate(matrix):
        products = matrix @ matrix[:m].T
        before = fit.value
        gains = fit.gains(products, (matrix**2).sum(axis=1), matrix @ target)
        fit.add(matrix[:m] @ row, float(row @ row), float(row @ target))
        assert gains[m] == pytest.approx(fit.value - before, rel=1e-7, abs=1e-9)
        weights, value = solved(matrix[: m + 1], target, ridge)
        assert bool((fit.weights >= 0).all())
        assert fit.value == pytest.approx(value, rel=1e-8, abs=1e-8)
        # With dependent rows the weights are not the only ones, but what they make up is.
        assert np.allclose(fit.weights @ matrix[: m + 1], weights @ matrix[: m + 1], atol=1e-6)
        left = np.linalg.norm(target - fit.weights @ matrix[: m + 1])
        assert fit.residual == pytest.approx(left, abs=1e-6)
    assert set(fit.passive) == set(np.flatnonzero(fit.weights > 0))
    gram = matrix @ matrix.T + ridge * np.eye(rows)
    kept = gram[np.ix_(fit.passive, fit.passive)]
    assert np.allclose(fit.factor @ fit.factor.T, kept, rtol=1e-7, atol=1e-9)


def test_nothing_points_towards_the_target():
    fit = NonNegativeLeastSquares(4.0)
    fit.add(np.zeros(0), 1.0, -2.0)
    assert fit.weights.tolist() == [0.0]
    assert fit.value == 0.0
    assert fit.residual == 2.0


def test_a_target_of_zero():
    fit = NonNegativeLeastSquares(0.0, 0.5)
    fit.add(np.zeros(0), 1.0, 0.0)
    assert fit.gains(np.ones((1, 1)), np.ones(1), np.zeros(1)).tolist() == [0.0]
    assert (fit.value, fit.residual) == (0.0, 0.0)
