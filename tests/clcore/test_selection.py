import math

import numpy as np
import pytest
import torch

from clcore import Pool, select
from clcore.errors import ArgumentError, UnknownNameError
from clcore.selection import count_of
from clcore.selectors import registry

FEATURES = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))


def pool():
    return Pool(features=FEATURES)


@pytest.mark.parametrize(
    ("k", "count"),
    [
        (7, 7), (0, 0), (np.int64(9), 9), (0.1, 20), ("10%", 20), ("0.5 %", 1), ("100%", 200),
        (0.0001, 1), ("1e-3%", 1), (0.999, 200), (np.float64(0.25), 50), (500, 200),
    ],
)  # fmt: skip
def test_numbers_and_shares(k, count):
    assert len(select("random", pool(), k)) == count


@pytest.mark.parametrize(
    "k", [1.0, 0.0, -0.1, 1.5, 2.0, math.nan, math.inf, "1", "0%", "101%", "-1%", "nan%", "%", "",
          "0.1", "1%%", "1% of", "many"],
)  # fmt: skip
def test_what_is_no_share_is_refused_and_told_what_is(k):
    with pytest.raises(
        ArgumentError, match=r"k must be a whole number .* strictly between 0 and 1"
    ):
        select("random", pool(), k)


@pytest.mark.parametrize("k", [True, None, [3], -1, np.bool_(True)])
def test_what_is_no_number_is_refused(k):
    with pytest.raises(ArgumentError, match="k must be a whole number of at least 0, not"):
        select("random", pool(), k)


def test_a_share_is_of_the_pool_and_not_of_what_is_left():
    assert len(select("k-center", pool(), 0.1, given=range(100))) == 20


def test_shares_are_rounded_and_never_none_but_of_nothing():
    assert [count_of(0.5, rows) for rows in (0, 1, 2, 3, 1000)] == [0, 1, 1, 2, 500]
    assert count_of("100%", 7) == 7


def test_a_share_of_what_is_no_pool():
    with pytest.raises(ArgumentError, match=r"pool must be a clcore\.Pool"):
        select("random", FEATURES, 0.1)


def test_the_same_answer_by_name_and_by_selector_and_with_options():
    by_name = select("k_center", pool(), 5, seed=3)
    ready = select(registry.create("k-center"), pool(), 5, seed=3)
    assert by_name.indices.tolist() == ready.indices.tolist()
    first = select("k-center", pool(), 5, first=11)
    assert first.indices[0] == 11
    # Options of one call are not those of the next.
    assert select("k-center", pool(), 5, seed=3).indices.tolist() == ready.indices.tolist()


def test_wrong_selectors():
    with pytest.raises(UnknownNameError, match="did you mean k-center"):
        select("k-centre", pool(), 1)
    with pytest.raises(ArgumentError, match="selector must be a name or a Selector, not 3"):
        select(3, pool(), 1)
    with pytest.raises(ArgumentError, match="options go with a name"):
        select(registry.create("k-center"), pool(), 1, first="random")
    with pytest.raises(ArgumentError, match="has no option 'x'"):
        select("k-center", pool(), 1, x=2)


def test_seed_and_generator():
    def picks(**how):
        return select("random", pool(), 5, **how).indices.tolist()

    assert picks(seed=1) == picks(seed=1) != picks(seed=2)
    assert picks(generator=torch.Generator().manual_seed(1)) == picks(seed=1)
    with pytest.raises(ArgumentError, match="seed must be a whole number"):
        picks(seed=-1)
