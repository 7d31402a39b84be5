"""ProbCover: coverage against brute force, δ by purity, and what happens when all is covered."""

import pytest
import torch
from sklearn.datasets import load_digits

from clcore import ArgumentError, Pool, select
from clcore.selectors import create
from clcore.testing import check_selector


def test_every_pick_covers_as_many_as_any_could():
    x = torch.randn(150, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    near = torch.cdist(x, x) <= 0.5
    answer = select("prob-cover", Pool(features=x), 20, delta=0.5, normalise=False)
    covered = torch.zeros(150, dtype=torch.bool)
    for row in answer.indices.tolist():
        new = (near & ~covered).sum(dim=1)
        assert int(new[row]) == int(new.max())
        covered |= near[row]
    assert answer.report["covered"] == pytest.approx(float(covered.double().mean()))
    assert answer.report["delta"] == 0.5


def test_it_goes_on_when_all_is_covered():
    x = torch.tensor([[0.0], [0.1], [0.2], [0.3], [0.4]])
    answer = select("prob-cover", Pool(features=x), 5, delta=1.0, normalise=False)
    assert answer.report["covered"] == 1
    # The middle covers all; then each end is nearer to a row that was far.
    assert int(answer.indices[0]) == 2
    assert sorted(answer.indices.tolist()) == [0, 1, 2, 3, 4]
    assert bool((answer.gains[1:] > 0).all())
    assert bool((answer.gains[1:] < 1).all())


def test_delta_by_purity_on_digits():
    x = torch.tensor(load_digits().data, dtype=torch.float32)[:1300]
    pool = Pool(features=x - x.mean(dim=0))
    answer = select("prob-cover", pool, 10, classes=10, seed=0)
    assert 0.5 <= answer.report["delta"] <= 0.65
    again = select("prob-cover", pool, 10, classes=10, seed=0)
    assert again.indices.tolist() == answer.indices.tolist()


def test_contracts_with_a_radius():
    method = create("prob-cover", delta=0.8)
    assert not method.randomised
    check_selector(method)


def test_wrong_options_are_named():
    for options, word in (
        ({"delta": "auto"}, "delta"),
        ({"delta": 0.0}, "delta"),
        ({"purity": 1.5}, "purity"),
        ({"classes": 1}, "classes"),
    ):
        with pytest.raises(ArgumentError, match=word):
            create("prob-cover", **options)
    with pytest.raises(ArgumentError, match="classes"):
        select("prob-cover", Pool(features=torch.eye(5)), 2)
