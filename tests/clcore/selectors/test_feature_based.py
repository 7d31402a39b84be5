"""Feature-based functions by name."""

import pytest
import torch

from clcore import Pool, SignalError, select
from clcore.selectors import create
from clcore.testing import check_selector, example_pool


@pytest.mark.parametrize(
    "options",
    [
        {"concave": "log1p"},
        {"concave": "min", "saturation": 0.9},
        {"maximiser": "threshold"},
        {"maximiser": "stochastic"},
    ],
)
def test_contracts_with_other_options(options):
    check_selector(create("feature-based", **options))


def test_picks_are_those_of_a_loop_over_sums():
    pool = Pool(features=example_pool(60, seed=5).signal("features").abs())
    x = pool.signal("features")
    rows = []
    for _ in range(12):
        values = [
            -1.0 if row in rows else float(x[[*rows, row]].sum(dim=0).sqrt().sum())
            for row in range(60)
        ]
        rows.append(max(range(60), key=values.__getitem__))
    assert select("feature-based", pool, 12).indices.tolist() == rows


def test_weights_say_which_features_count():
    pool = Pool(features=torch.tensor([[9.0, 0.0], [0.0, 1.0], [8.0, 0.0]]))
    assert select("feature-based", pool, 1).indices.tolist() == [0]
    second = select("feature-based", pool, 1, feature_weights=(0.0, 1.0))
    assert second.indices.tolist() == [1]


def test_negative_features_are_split_or_refused():
    pool = Pool(features=torch.tensor([[1.0, 2.0], [-3.0, 1.0]]))
    assert len(select("feature-based", pool, 2)) == 2
    with pytest.raises(SignalError, match=r"row 1 holds -3\.0"):
        select("feature-based", pool, 2, negative="error")
