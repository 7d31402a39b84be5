"""Top-k of fakes: which, in which order, with which gradient; the schedule; what is refused."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clcore import ArgumentError, SignalError
from strategies.generative import TopKSchedule, top_k_fakes


@settings(derandomize=True, deadline=None)
@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=12), st.integers(1, 15), st.booleans(),
    st.sampled_from([(), (1,), (1, 1, 1)]),
)  # fmt: skip
def test_the_best_in_order(values, k, higher, more):
    scores = torch.tensor(values, dtype=torch.float32).reshape(len(values), *more)
    rows = top_k_fakes(scores, k, higher_is_better=higher).tolist()
    signed = [value if higher else -value for value in values]
    expected = sorted(range(len(values)), key=lambda row: (-signed[row], row))[:k]
    assert rows == expected


def test_only_the_kept_samples_get_a_gradient():
    scores = torch.tensor([0.5, -1.0, 2.0, 0.0], requires_grad=True)
    rows = top_k_fakes(scores, 2, higher_is_better=True)
    (-scores[rows].mean()).backward()
    assert scores.grad.tolist() == [-0.5, 0.0, -0.5, 0.0]


def test_one_of_several_heads():
    heads = (torch.tensor([1.0, 2.0, 3.0]), torch.tensor([3.0, 2.0, 1.0]))
    assert top_k_fakes(heads, 1, higher_is_better=True, head=1).tolist() == [0]
    with pytest.raises(ArgumentError, match="returns 2 heads: say with head="):
        top_k_fakes(heads, 1, higher_is_better=True)
    with pytest.raises(ArgumentError, match="head = 2: the discriminator returns 2 heads"):
        top_k_fakes(heads, 1, higher_is_better=True, head=2)
    with pytest.raises(ArgumentError, match="returns one output"):
        top_k_fakes(heads[0], 1, higher_is_better=True, head=1)
    with pytest.raises(ArgumentError, match="not dict"):
        top_k_fakes({"score": heads[0]}, 1, higher_is_better=True)


def test_bad_input():
    scores = torch.tensor([1.0, 2.0])
    with pytest.raises(ArgumentError, match="k must be a whole number of at least 1, not 0"):
        top_k_fakes(scores, 0, higher_is_better=True)
    with pytest.raises(ArgumentError, match="higher_is_better must be True or False"):
        top_k_fakes(scores, 1, higher_is_better=None)
    with pytest.raises(TypeError):
        top_k_fakes(scores, 1)
    with pytest.raises(ArgumentError, match="one number a sample"):
        top_k_fakes(torch.zeros(4, 2), 1, higher_is_better=True)
    with pytest.raises(SignalError, match="'scores' holds NaN, first in row 1"):
        top_k_fakes(torch.tensor([1.0, math.nan]), 1, higher_is_better=True)
    with pytest.raises(SignalError, match="'scores' holds infinity, first in row 0"):
        top_k_fakes(torch.tensor([-math.inf, math.nan]), 1, higher_is_better=True)


def test_the_schedule_falls_by_gamma_to_nu():
    schedule = TopKSchedule(128, gamma=0.9, nu=0.6)
    ks = [schedule.k(epoch) for epoch in range(12)]
    assert ks == [max(math.floor(128 * 0.9**e), 77) for e in range(12)]
    assert ks[0] == 128
    assert ks[-1] == schedule.least == 77
    assert schedule.k(4) > schedule.least
    assert schedule.k(math.ceil(schedule.epochs_to_least())) == schedule.least
    assert schedule.k(0.5) == math.floor(128 * 0.9**0.5)
    assert TopKSchedule(64, nu=1.0).epochs_to_least() == 0
    assert TopKSchedule(64, gamma=1.0).epochs_to_least() == math.inf
    assert TopKSchedule(64, gamma=1.0).k(1000) == 64
    assert TopKSchedule(1).k(1000) == 1
    assert TopKSchedule(10, nu=0.3).least == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 0}, "batch_size must be"),
        ({"batch_size": 8, "gamma": 0}, "gamma must be above 0"),
        ({"batch_size": 8, "gamma": 1.1}, "gamma must be above 0"),
        ({"batch_size": 8, "nu": 0.0}, "nu must be above 0"),
        ({"batch_size": 8, "nu": math.nan}, "nu must be above 0"),
    ],
)
def test_bad_schedules(options, words):
    with pytest.raises(ArgumentError, match=words):
        TopKSchedule(**options)
    with pytest.raises(ArgumentError, match="epoch must be at least 0"):
        TopKSchedule(8).k(-1)
