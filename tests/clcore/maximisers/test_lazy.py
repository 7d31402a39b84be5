"""Lazy greedy picks what plain greedy picks, and asks far less."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clcore import ArgumentError, Pool
from clcore.maximisers import create
from clcore.objectives import create as function_of
from clcore.quotas import Allowance
from clcore.testing import example_pool

FUNCTIONS = [
    ("facility-location", {}),
    ("kernel-coverage", {"bandwidth": 2.0}),
    ("graph-cut", {"trade_off": 0.5}),
    ("graph-cut", {"similarity": "rbf"}),
    ("saturated-coverage", {"saturation": 0.3}),
    ("feature-based", {"negative": "split"}),
    ("log-determinant", {}),
]


def both(pool, name, options, k, batch, **rules):
    found = []
    for maximiser in (create("plain"), create("lazy", batch=batch)):
        objective = function_of(name, pool=pool, **options)
        allowance = Allowance(len(pool), pool.device, **rules)
        found.append(maximiser.maximise(objective, k, allowance=allowance))
    return found


@pytest.mark.parametrize(("name", "options"), FUNCTIONS)
@settings(derandomize=True, deadline=None, max_examples=15)
@given(data=st.data())
def test_picks_are_those_of_plain_greedy(name, options, data):
    rows = data.draw(st.integers(1, 40), label="rows")
    pool = example_pool(rows, data.draw(st.integers(0, 999), label="seed"))
    taken = torch.tensor(sorted(data.draw(st.sets(st.integers(0, rows - 1), max_size=3))))
    quotas = data.draw(st.none() | st.dictionaries(st.integers(0, 2), st.integers(0, 4)))
    batch = data.draw(st.sampled_from([None, 1, 3, 16]), label="batch")
    rules = {"given": taken.long(), "keys": pool.labels, "quotas": quotas}
    plain, lazy = both(pool, name, options, rows, batch, **rules)
    if name == "log-determinant":  # the first gains are all equal up to rounding, and so are later
        assert sorted(plain.rows) == sorted(lazy.rows)
    else:
        assert plain.rows == lazy.rows
        assert plain.gains == pytest.approx(lazy.gains, rel=1e-9, abs=1e-9)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(data=st.data())
def test_ties_go_to_the_lowest_row(data):
    # Whole numbers add up exactly, so that equal gains are equal to the last bit.
    rows = data.draw(st.integers(1, 30))
    values = data.draw(st.lists(st.integers(0, 2), min_size=rows, max_size=rows))
    pool = Pool(features=torch.tensor(values).double().reshape(rows, 1))
    options = {"concave": "min", "saturation": 1.0}
    plain, lazy = both(pool, "feature-based", options, rows, data.draw(st.sampled_from([1, 2, 5])))
    assert plain.rows == lazy.rows


def test_ties_beyond_the_front():
    # More rows tie than are looked at in a step: 3,000 rows in three steps of height.
    heights = torch.tensor([1.0, 3.0, 2.0, 3.0, 1.0] * 600, dtype=torch.float64)
    objective = function_of(
        "feature-based", pool=Pool(features=heights.unsqueeze(1)), concave="min", saturation=1.0
    )
    picks = create("lazy", batch=4).maximise(objective, 1900)
    order = torch.argsort(-heights, stable=True)
    assert picks.rows == order[:1900].tolist()


def test_a_quota_used_up_by_its_last_row_closes_that_row():
    pool = Pool(features=torch.zeros(7, 2), labels=[0, 0, 0, 0, 0, 0, 1])
    objective = function_of("graph-cut", pool=pool)
    given_rows = torch.tensor([0, 1])
    allowance = Allowance(7, pool.device, given=given_rows, keys=pool.labels, quotas={0: 4})
    picks = create("lazy").maximise(objective, 7, allowance=allowance)
    assert picks.rows == [2, 3, 4, 5, 6]


def test_few_rows_are_asked_again():
    pool = example_pool(2000, 1)
    objective = function_of("facility-location", pool=pool)
    create("lazy").maximise(objective, 100)
    assert objective.evaluations < 10 * 2000 * 2000  # plain: 100 · 2000 · 2000


def test_wrong_batch():
    with pytest.raises(ArgumentError, match="batch must be a whole number of at least 1"):
        create("lazy", batch=0)
