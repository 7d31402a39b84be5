"""Saturated coverage by name."""

import pytest
import torch

from clcore import ArgumentError, Pool, Stop, select
from clcore.selectors import create
from clcore.testing import check_selector, example_pool


@pytest.mark.parametrize(
    "options",
    [
        {"saturation": 0.6},
        {"saturation": 0.6, "similarity": "cosine"},
        {"bandwidth": 2.0, "maximiser": "plain"},
        {"maximiser": "stochastic"},
    ],
)
def test_contracts_with_other_options(options):
    check_selector(create("saturated-coverage", **options))


def test_prefixes_are_promised_only_where_they_hold():
    assert not create("saturated-coverage").greedy
    assert create("saturated-coverage", saturation=0.2).greedy
    assert not create("saturated-coverage", saturation=0.2, maximiser="stochastic").greedy


def test_picks_are_those_of_greedy_on_the_whole_matrix():
    pool = example_pool(60, seed=5)
    x = pool.signal("features")
    squared = torch.cdist(x, x).square()
    kernel = torch.exp(-squared / squared.mean())
    enough = 12 / 60 * kernel.sum(dim=1)
    rows = []
    for _ in range(12):
        covered = kernel[:, rows].sum(dim=1)
        gains = pool.weights @ torch.minimum(kernel + covered.unsqueeze(1), enough.unsqueeze(1))
        gains[rows] = -torch.inf
        rows.append(int(gains.argmax()))
    assert select("saturated-coverage", pool, 12).indices.tolist() == rows


def test_rows_given_count_towards_the_share():
    pool = example_pool(40, seed=1)
    joint = select("saturated-coverage", pool, 6, given=[3, 7])
    own = select("saturated-coverage", pool, 6, given=[3, 7], saturation=8 / 40)
    assert joint.indices.tolist() == own.indices.tolist()


def test_it_stops_at_a_coverage():
    pool = example_pool(40, seed=1)
    picks = select("saturated-coverage", pool, 30, saturation=0.2, stop=Stop(coverage=0.8))
    assert 0 < len(picks) < 30


def test_wrong_options():
    with pytest.raises(ArgumentError, match="saturation must be above 0"):
        select("saturated-coverage", Pool(features=torch.eye(3)), 1, saturation=2.0)
