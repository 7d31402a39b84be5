"""Threshold greedy against the loop of the paper."""

import pytest
import torch

from clcore import ArgumentError
from clcore.maximisers import create
from clcore.objectives import create as function_of
from clcore.testing import example_pool


def reference(objective, k, epsilon):
    """Go through the rows level by level, those of larger last gain first."""
    last = {row: objective.evaluate([row]) for row in range(len(objective))}
    largest, rows, level = max(last.values()), [], 0
    while len(rows) < k and largest * (1 - epsilon) ** level > largest * epsilon / len(objective):
        height = largest * (1 - epsilon) ** level
        for row in sorted(last, key=lambda row: (-last[row], row)):
            if row not in rows and len(rows) < k:
                gain = objective.evaluate([*rows, row]) - objective.evaluate(rows)
                last[row] = gain
                if gain >= height:
                    rows.append(row)
        level += 1
    return rows


@pytest.mark.parametrize("epsilon", [0.1, 0.35])
@pytest.mark.parametrize("batch", [1, 7])
def test_picks_are_those_of_the_paper(epsilon, batch):
    for seed in range(3):
        objective = function_of("facility-location", pool=example_pool(25, seed))
        expected = reference(objective, 10, epsilon)
        picks = create("threshold", epsilon=epsilon, batch=batch).maximise(objective, 10)
        assert picks.rows[: len(expected)] == expected
        assert len(picks) == 10


def test_permuting_the_pool_permutes_the_picks():
    pool = example_pool(50, 3)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    picks = create("threshold").maximise(function_of("facility-location", pool=pool), 12)
    shuffled = create("threshold").maximise(
        function_of("facility-location", pool=pool.subset(order)), 12
    )
    assert order[shuffled.rows].tolist() == picks.rows


def test_a_small_epsilon_is_nearly_plain_greedy():
    pool = example_pool(80, 3)
    plain = function_of("facility-location", pool=pool)
    create("plain").maximise(plain, 20)
    near = function_of("facility-location", pool=pool)
    create("threshold", epsilon=0.001).maximise(near, 20)
    assert near.value() == pytest.approx(plain.value(), rel=1e-3)


@pytest.mark.parametrize("epsilon", [0, 1, -0.5, float("nan")])
def test_wrong_epsilon(epsilon):
    with pytest.raises(ArgumentError, match="epsilon must be above 0 and below 1"):
        create("threshold", epsilon=epsilon)
