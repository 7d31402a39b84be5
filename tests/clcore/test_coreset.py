"""Coreset and Cost."""

import dataclasses

import pytest
import torch

from clcore import ArgumentError, Coreset, Cost


def test_costs_add_and_subtract():
    a, b = Cost(1.5, 10, 2, 7), Cost(0.5, 1, 1, 1)
    assert a + b == Cost(2.0, 11, 3, 8)
    assert (a + b) - b == a
    assert sum([a, b], Cost()) == a + b


def test_of_fills_in_ones_and_zeros():
    coreset = Coreset.of([3, 1], distance_evaluations=4)
    assert coreset.indices.dtype == torch.int64
    assert coreset.indices.tolist() == [3, 1]
    assert coreset.weights.tolist() == [1.0, 1.0]
    assert coreset.gains.tolist() == [0.0, 0.0]
    assert coreset.cost.distance_evaluations == 4
    assert len(coreset) == 2


def test_of_takes_lists_and_keeps_double_precision():
    coreset = Coreset.of(torch.tensor([0]), weights=[2], gains=torch.ones(1, dtype=torch.float64))
    assert coreset.weights.tolist() == [2.0]
    assert coreset.gains.dtype == torch.float64


def test_empty():
    assert len(Coreset.of([])) == 0


def test_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Coreset.of([1]).indices = torch.tensor([2])


@pytest.mark.parametrize(
    ("indices", "weights", "gains", "message"),
    [
        (torch.tensor([0.0]), torch.ones(1), torch.ones(1), "indices must be .* int64"),
        (torch.tensor([[0]]), torch.ones(1), torch.ones(1), "indices must be"),
        (torch.tensor([0]), torch.ones(2), torch.ones(1), "weights must be 1 floats"),
        (torch.tensor([0]), torch.ones(1), torch.ones(1, dtype=torch.int64), "gains must be"),
    ],
)
def test_refuses_what_does_not_fit(indices, weights, gains, message):
    with pytest.raises(ArgumentError, match=message):
        Coreset(indices, weights, gains)


def test_report_is_empty_unless_the_method_tells_something():
    assert Coreset.of([1]).report == {}
    assert Coreset.of([1], report={"residual": 0.5}).report == {"residual": 0.5}
