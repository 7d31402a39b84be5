"""Plain greedy against a loop over values."""

import pytest
import torch

from clcore import ArgumentError, Objective, Pool
from clcore.maximisers import create
from clcore.objectives import create as function_of
from clcore.testing import example_pool


def test_picks_are_those_of_a_loop_over_values():
    objective = function_of("facility-location", pool=example_pool(25, 6))
    rows = []
    for _ in range(8):
        values = {row: objective.evaluate([*rows, row]) for row in range(25) if row not in rows}
        rows.append(max(values, key=values.__getitem__))
    assert create("plain").maximise(objective, 8).rows == rows


class Table(Objective):
    """Gains from a table: `scores`, whatever was picked before."""

    def __init__(self, pool):
        super().__init__(pool)
        self.scores = pool._signals["scores"]
        self.reset()

    def reset(self):
        self.total = 0.0

    def gains(self, rows):
        return self.scores[rows]

    def add(self, rows):
        self.total += float(self.scores[rows].sum())

    def value(self):
        return self.total


def table(scores):
    pool = Pool(scores=torch.zeros(len(scores)))
    pool._signals["scores"] = torch.tensor(scores)  # past the door, which refuses infinity
    return Table(pool)


@pytest.mark.parametrize("maximiser", ["plain", "lazy", "stochastic", "threshold", "sieve"])
def test_an_open_row_stays_above_a_closed_one_whatever_its_gain(maximiser):
    lowest = -float("inf")
    picks = create(maximiser).maximise(table([lowest, 2.0, lowest, 1.0]), 4)
    assert sorted(picks.rows) == [0, 1, 2, 3]
    if maximiser != "stochastic":
        assert picks.rows == [1, 3, 0, 2]


@pytest.mark.parametrize("maximiser", ["plain", "lazy", "stochastic", "threshold", "sieve"])
def test_a_gain_that_is_no_number_is_refused(maximiser):
    with pytest.raises(ArgumentError, match=r"gain of .* is NaN"):
        create(maximiser).maximise(table([1.0, float("nan"), 2.0]), 3)
