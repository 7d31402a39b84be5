"""Rows that outweigh their batches: said once a fit, with what to do instead."""

import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clcore.coreset import Coreset
from strategies.offline.heavy_rows import LIMIT, warn_of_heavy_rows

ROWS = 300


@pytest.fixture
def make(kit):
    def make(heaviest=200.0, **options):
        return kit.trainer(kit.Heavy(heaviest), 250, data=kit.blobs(ROWS), **options)

    return make


def test_is_said_once_a_fit_with_what_to_do_instead(make):
    trainer = make(rate=1e-4)
    with pytest.warns(UserWarning, match="weights: a row that .* weighs 200 times") as told:
        trainer.fit(3)
    assert len(told) == 1
    assert told[0].filename == __file__
    text = str(told[0].message)
    assert 'weighted="sampling"' in text
    assert "lower the learning rate" in text
    # (Σγ)² / Σγ² = 250² / (200² + 249 · (50 / 249)²)
    assert "the 250 rows count as 2 of equal weight" in text
    assert "as much as 12.5 batches of 16" in text
    with pytest.warns(UserWarning, match="weighs 200 times the mean") as again:
        trainer.fit(5)
    assert len(again) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"heaviest": 23.0},
        {"batch_size": 140},
        {"weighted": "sampling"},
        {"weighted": False},
    ],
)
def test_nothing_is_said_where_steps_are_even(make, options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(make(rate=1e-4, **options).fit(2)) == 2


def test_ordinary_coresets_are_not_warned_of(kit):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for selector in ("craig", "kd-tree", "gradmatch", "k-center"):
            kit.trainer(selector, 0.2, data=kit.blobs(ROWS), batch_size=16).fit(4)


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=400).filter(lambda them: sum(them) > 1e-3),
    st.integers(1, 500),
)
def test_the_rule(values, batch_size):
    coreset = Coreset.of(torch.arange(len(values)), weights=torch.tensor(values).double())
    weights = torch.tensor(values).double()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = warn_of_heavy_rows(coreset, "craig", batch_size)
    assert found == (float(weights.max() / weights.mean()) > LIMIT * batch_size)
    assert len(told) == int(found)
    # A row can't weigh more than all rows together: small coresets are never warned of.
    assert not found or len(values) > LIMIT * batch_size


def test_scale_of_the_weights_does_not_matter():
    weights = torch.ones(1000, dtype=torch.float64)
    weights[3] = 900.0
    for scale in (1e-6, 1.0, 1e6):
        coreset = Coreset.of(torch.arange(1000), weights=scale * weights)
        with pytest.warns(UserWarning, match="weighs 474 times"):
            assert warn_of_heavy_rows(coreset, "craig", 32)
