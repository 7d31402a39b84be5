"""Sieve streaming against the algorithm of the paper, one row at a time."""

import math

import pytest
import torch

from clcore import ArgumentError, Stop
from clcore.maximisers import create
from clcore.objectives import create as function_of
from clcore.testing import example_pool


def reference(objective, k, epsilon):
    """Return the best sieve's rows, going through the pool row by row."""
    growth, most, sieves = math.log1p(epsilon), 0.0, {}
    for row in range(len(objective)):
        most = max(most, objective.evaluate([row]))
        low = math.ceil(math.log(most) / growth)
        high = math.floor(math.log(2 * k * most) / growth)
        sieves = {guess: sieves.get(guess, []) for guess in range(low, high + 1)}
        for guess, rows in sieves.items():
            if len(rows) < k:
                value = objective.evaluate(rows)
                gain = objective.evaluate([*rows, row]) - value
                if gain >= (math.exp(guess * growth) / 2 - value) / (k - len(rows)):
                    rows.append(row)
    return max(sieves.values(), key=objective.evaluate)


@pytest.mark.parametrize("block", [1, 5, 64])
@pytest.mark.parametrize("epsilon", [0.1, 0.5])
def test_blocks_change_nothing(block, epsilon):
    for seed in range(3):
        objective = function_of("facility-location", pool=example_pool(30, seed))
        expected = reference(objective, 5, epsilon)
        picks = create("sieve", epsilon=epsilon, block=block).maximise(objective, 5)
        assert picks.rows[: len(expected)] == expected
        assert len(picks) == 5


def test_a_random_order_is_drawn_from_the_generator():
    pool = example_pool(60, 1)
    found = []
    for seed in (0, 0, 1):
        generator = torch.Generator().manual_seed(seed)
        objective = function_of("facility-location", pool=pool)
        found.append(
            create("sieve", order="random").maximise(objective, 6, generator=generator).rows
        )
    assert found[0] == found[1] != found[2]


def test_rows_given_are_built_upon():
    pool = example_pool(30, 1)
    objective = function_of("facility-location", pool=pool)
    objective.start(torch.tensor([3, 8]))
    picks = create("sieve").maximise(objective, 4, stop=Stop(value=objective.value() + 1e-6))
    assert len(picks) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"epsilon": 0}, "epsilon must be above 0 and below 1"),
        ({"order": "shuffled"}, "order must be 'pool' or 'random'"),
        ({"block": 0}, "block must be a whole number of at least 1"),
    ],
)
def test_wrong_options(options, said):
    with pytest.raises(ArgumentError, match=said):
        create("sieve", **options)
