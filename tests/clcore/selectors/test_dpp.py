"""The DPP by name, against greedy with determinants."""

import pytest
import torch

from clcore import Pool, SignalError, Stop, select
from clcore.selectors import create
from clcore.testing import check_selector, example_pool


@pytest.mark.parametrize(
    "options",
    [
        {"kernel": "linear"},
        {"kernel": "cosine"},
        {"quality": "costs"},
        {"bandwidth": 6.0, "maximiser": "plain"},
        {"jitter": 0.1, "maximiser": "stochastic"},
    ],
)
def test_contracts_with_other_options(options):
    check_selector(create("dpp", **options))


def test_picks_are_those_of_greedy_with_determinants():
    pool = example_pool(50, seed=2)
    x = pool.signal("features")
    squared = torch.cdist(x, x).square()
    kernel = torch.exp(-squared / squared.mean()) + 1e-6 * torch.eye(50)
    rows = [int((x - x.mean(dim=0)).norm(dim=1).argmin())]
    while len(rows) < 12:
        values = [
            -torch.inf
            if row in rows
            else float(torch.logdet(kernel[[*rows, row]][:, [*rows, row]]))
            for row in range(50)
        ]
        rows.append(max(range(50), key=values.__getitem__))
    picks = select("dpp", pool, 12)
    assert picks.indices.tolist() == rows
    expected = float(torch.logdet(kernel[rows][:, rows]))
    assert float(picks.gains.sum()) == pytest.approx(expected, rel=1e-5)


def test_the_first_pick_is_central_unless_something_else_says_where_to_begin():
    pool = example_pool(40, seed=1)
    x = pool.signal("features")
    central = int((x - x.mean(dim=0)).norm(dim=1).argmin())
    assert int(select("dpp", pool, 1).indices) == central
    quality = pool.signal("costs")
    assert int(select("dpp", pool, 1, quality="costs").indices) == int(quality.argmax())
    assert int(select("dpp", pool, 1, kernel="linear").indices) == int(x.norm(dim=1).argmax())
    assert int(select("dpp", pool, 1, given=[central]).indices) != central
    label = int(pool.labels[central])
    kept = select("dpp", pool, 5, quotas={label: 0}).indices
    assert not bool((pool.labels[kept] == label).any())


def test_more_picks_than_rank_are_still_as_many_as_asked_for():
    x = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
    picks = select("dpp", Pool(features=x), 60, kernel="linear")
    assert len(picks) == 60
    assert bool(torch.isfinite(picks.gains).all())
    # Not just the next rows: beyond the rank the picks go on to spread.
    assert picks.indices[4:].tolist() != sorted(picks.indices[4:].tolist())


def test_most_rows_never_catch_up():
    x = torch.randn(2000, 4, generator=torch.Generator().manual_seed(0))
    picks = select("dpp", Pool(features=x), 100)
    assert picks.cost.distance_evaluations < 2000 * 100


def test_stops_before_any_pick():
    assert len(select("dpp", example_pool(20), 5, stop=Stop(gain=1.0))) == 0


def test_the_quality_is_a_signal_like_others():
    with pytest.raises(SignalError, match="dpp needs the signal 'merit'"):
        select("dpp", Pool(features=torch.eye(3)), 1, quality="merit")
