"""k-medoids: never worse than greedy, and no exchange is left that helps."""

import itertools

import pytest
import torch

from clcore import ArgumentError, Pool, select
from clcore.selectors import create
from clcore.testing import check_selector


def total(x, picks, weights, given=()):
    rows = [*given, *picks]
    return float(torch.cdist(x, x[rows]).min(dim=1).values @ weights)


@pytest.mark.parametrize("given", [(), (4, 11)])
def test_no_exchange_is_left_that_helps(given):
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(60, 3, generator=generator, dtype=torch.float64)
    weights = torch.rand(60, generator=generator, dtype=torch.float64) + 0.1
    pool = Pool(features=x, weights=weights)
    answer = select("k-medoids", pool, 6, given=given)
    picks = answer.indices.tolist()
    reached = total(x, picks, weights, given)
    assert answer.report["total"] == pytest.approx(reached, rel=1e-6)
    assert reached <= answer.report["greedy_total"] * (1 + 1e-9)
    assert answer.report["swaps"] >= 1
    for out, row in itertools.product(range(6), range(60)):
        swapped = [*picks[:out], row, *picks[out + 1 :]]
        assert total(x, swapped, weights, given) >= reached * (1 - 2e-6)


def test_weights_are_the_cells_heaviest_first():
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    answer = select("k-medoids", Pool(features=x), 5)
    nearest = torch.cdist(x, x[answer.indices]).argmin(dim=1)
    assert answer.weights.tolist() == torch.bincount(nearest, minlength=5).tolist()
    assert answer.weights.tolist() == sorted(answer.weights.tolist(), reverse=True)


def test_exchanges_keep_quotas():
    x = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(60) % 3
    answer = select("k-medoids", Pool(features=x, labels=labels), 9, quotas={0: 1, 1: 5, 2: 2})
    assert torch.bincount(labels[answer.indices]).tolist() == [1, 5, 2]


@pytest.mark.parametrize("options", [{"rounds": 0}, {"metric": "squared"}, {"metric": "cosine"}])
def test_contracts(options):
    check_selector(create("k-medoids", **options))


def test_wrong_options_are_named():
    with pytest.raises(ArgumentError, match="rounds"):
        create("k-medoids", rounds=-1)
    with pytest.raises(ArgumentError, match="metric"):
        create("k-medoids", metric="l1")
