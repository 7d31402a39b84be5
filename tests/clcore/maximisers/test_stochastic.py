"""Stochastic greedy: how much it looks at, and that laziness changes no pick."""

import math

import pytest
import torch

from clcore import ArgumentError
from clcore.maximisers import create
from clcore.objectives import create as function_of
from clcore.testing import example_pool


class Counted:
    """Counts the gains asked of a function."""

    def __init__(self, objective):
        self.asked, self.inner = 0, objective.gains
        objective.gains = self

    def __call__(self, rows):
        self.asked += len(rows)
        return self.inner(rows)


@pytest.mark.parametrize("k", [5, 50])
def test_gains_asked_do_not_grow_with_k(k):
    objective = function_of("facility-location", pool=example_pool(400, 1))
    counted = Counted(objective)
    create("stochastic", lazy=False).maximise(objective, k)
    assert counted.asked <= 400 * math.log(10) + k
    # Drawn with replacement, so a little less; far from none at all.
    assert counted.asked >= 400


def test_lazy_draws_the_same_and_asks_less():
    found, asked = [], []
    for lazy in (True, False):
        objective = function_of("facility-location", pool=example_pool(400, 1))
        counted = Counted(objective)
        generator = torch.Generator().manual_seed(7)
        found.append(
            create("stochastic", lazy=lazy).maximise(objective, 40, generator=generator).rows
        )
        asked.append(counted.asked)
    assert found[0] == found[1]
    assert asked[0] < 0.8 * asked[1]


def test_a_sample_as_large_as_the_pool_is_plain_greedy():
    pool = example_pool(30, 2)
    plain = create("plain").maximise(function_of("facility-location", pool=pool), 3)
    whole = create("stochastic", epsilon=0.01).maximise(
        function_of("facility-location", pool=pool), 3
    )
    assert whole.rows == plain.rows


@pytest.mark.parametrize("epsilon", [0, 1, -0.5, float("nan")])
def test_wrong_epsilon(epsilon):
    with pytest.raises(ArgumentError, match="epsilon must be above 0 and below 1"):
        create("stochastic", epsilon=epsilon)
