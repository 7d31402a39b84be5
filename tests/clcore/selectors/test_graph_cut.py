"""Graph cut by name."""

import pytest
import torch

from clcore import ArgumentError, Pool, select
from clcore.selectors import create
from clcore.testing import check_selector, example_pool


@pytest.mark.parametrize(
    "options",
    [
        {"trade_off": 0.2},
        {"similarity": "dot"},
        {"similarity": "rbf"},
        {"similarity": "rbf", "bandwidth": 2.0, "maximiser": "plain"},
    ],
)
def test_contracts_with_other_options(options):
    check_selector(create("graph-cut", **options))


@pytest.mark.parametrize("trade_off", [2.0, 0.2])
def test_picks_are_those_of_greedy_on_the_whole_matrix(trade_off):
    pool = example_pool(80, seed=5)
    x = pool.signal("features")
    unit = x / x.norm(dim=1, keepdim=True)
    kernel = (1 + unit @ unit.t()) / 2
    gains = trade_off * (pool.weights @ kernel) - kernel.diagonal()
    rows = []
    for _ in range(15):
        rows.append(int(gains.argmax()))
        gains = gains - 2 * kernel[rows[-1]]
        gains[rows] = -torch.inf
    picks = select("graph-cut", pool, 15, trade_off=trade_off)
    assert picks.indices.tolist() == rows


def test_many_rows_take_no_matrix_of_pairs():
    x = torch.randn(3000, 8, generator=torch.Generator().manual_seed(0))
    picks = select("graph-cut", Pool(features=x), 20)
    assert picks.cost.distance_evaluations < 3000 * 3000 / 50


def test_a_small_trade_off_spreads_the_picks():
    x = torch.randn(400, 4, generator=torch.Generator().manual_seed(0))
    x[:300] += torch.tensor([6.0, 0, 0, 0])
    radii = []
    for trade_off in (2.0, 0.05):
        picks = select("graph-cut", Pool(features=x), 20, trade_off=trade_off).indices
        radii.append(float(torch.cdist(x, x[picks]).min(dim=1).values.max()))
    assert radii[1] < radii[0]


def test_wrong_options():
    with pytest.raises(ArgumentError, match="similarity must be one of"):
        select("graph-cut", Pool(features=torch.eye(3)), 1, similarity="l2")
