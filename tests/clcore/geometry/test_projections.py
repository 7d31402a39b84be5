"""The projections against bisection in double precision, and their optimality conditions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clcore.errors import ArgumentError
from clcore.geometry.projections import onto_budget, onto_simplex

NUMBERS = st.lists(
    st.floats(-3, 3, width=32) | st.sampled_from([0.0, 0.5, 1.0, -1.0]), min_size=1, max_size=12
)


def bisected(value_of, target):
    """Find τ where a falling function meets a target."""
    low, high = -20.0, 20.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if value_of(middle) > target else (low, middle)
    return (low + high) / 2


@settings(derandomize=True, deadline=None, max_examples=60)
@given(NUMBERS, st.sampled_from([1e-3, 0.7, 1.0, 5.0]))
def test_simplex_is_what_bisection_finds(numbers, total):
    values = torch.tensor(numbers, dtype=torch.float64)
    shift = bisected(lambda t: float((values - t).clamp_min(0).sum()), total)
    found = onto_simplex(values, total)
    assert torch.allclose(found, (values - shift).clamp_min(0), atol=1e-9)
    assert float(found.sum()) == pytest.approx(total)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(NUMBERS, st.sampled_from([0.0, 0.3, 1.0, 2.0, 4.5]))
def test_budget_is_what_bisection_finds(numbers, budget):
    values = torch.tensor(numbers, dtype=torch.float64)
    found = onto_budget(values, budget)
    if float(values.clamp(0, 1).sum()) <= budget:
        assert torch.equal(found, values.clamp(0, 1))
        return
    shift = bisected(lambda t: float((values - t).clamp(0, 1).sum()), budget)
    assert shift >= -1e-9
    assert torch.allclose(found, (values - shift).clamp(0, 1), atol=1e-9)
    assert float(found.sum()) == pytest.approx(budget, abs=1e-9)


@pytest.mark.parametrize("project", [onto_simplex, lambda v: onto_budget(v, 3.0)])
def test_no_feasible_point_is_nearer(project):
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(30, generator=generator, dtype=torch.float64)
    found = project(values)
    for _ in range(200):
        other = project(torch.randn(30, generator=generator, dtype=torch.float64))
        assert float((values - found) @ (other - found)) <= 1e-10
    assert torch.allclose(project(found), found, atol=1e-12)


def test_rows_of_a_batch_are_projected_one_by_one():
    values = torch.randn(4, 3, 7, generator=torch.Generator().manual_seed(1))
    found = onto_simplex(values)
    for one, row in zip(found.reshape(12, 7), values.reshape(12, 7), strict=True):
        assert torch.allclose(one, onto_simplex(row), atol=1e-6)


@pytest.mark.parametrize("offset", [0.0, 1e4, -1e4])
def test_float32_stays_accurate(offset):
    values = torch.randn(10_000, generator=torch.Generator().manual_seed(2)) * 1e-3 + offset
    wanted = onto_simplex(values.double())
    assert torch.allclose(onto_simplex(values).double(), wanted, atol=1e-5)
    scores = torch.rand(10_000, generator=torch.Generator().manual_seed(3))
    kept = onto_budget(scores, 100.0)
    assert float(kept.double().sum()) == pytest.approx(100.0, rel=1e-3)
    assert 0 <= float(kept.min()) <= float(kept.max()) <= 1


def test_equal_entries_share_evenly():
    assert onto_simplex(torch.full((4,), 7.0)).tolist() == [0.25] * 4
    assert onto_budget(torch.full((4,), 0.9), 1.0).tolist() == pytest.approx([0.25] * 4)
    assert onto_budget(torch.full((3,), 5.0), 0.0).tolist() == [0.0] * 3
    assert onto_budget(torch.full((3,), 5.0), 3.0).tolist() == [1.0] * 3


def test_bad_arguments_are_refused():
    with pytest.raises(ArgumentError, match="total must be above 0"):
        onto_simplex(torch.ones(3), 0.0)
    with pytest.raises(ArgumentError, match="budget must not be negative"):
        onto_budget(torch.ones(3), -1.0)
    for project in (onto_simplex, lambda v: onto_budget(v, 1.0)):
        for values in (torch.ones(0), torch.ones(2, dtype=torch.int64), torch.tensor(1.0)):
            with pytest.raises(ArgumentError, match="at least one entry"):
                project(values)
