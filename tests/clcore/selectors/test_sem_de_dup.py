"""SemDeDup: near-duplicates last, ε, which of a pair stays, blocks."""

import pytest
import torch

from clcore import ArgumentError, Pool, select
from clcore.selectors import sem_de_dup


def pairs(rows=1000, noise=0.01, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 32, generator=generator)
    copies = x + noise * torch.randn(rows, 32, generator=generator)
    return torch.cat([x, copies])


def complete(picks, rows=1000):
    """Count the pairs of which a row was picked."""
    return len({row % rows for row in picks.tolist()})


def test_one_of_every_pair_comes_first():
    pool = Pool(features=pairs(noise=0.2))
    assert complete(select("sem-de-dup", pool, 1000, clusters=1).indices) == 1000
    # With √n clusters a pair may be parted; which are depends a little on the library's k-means.
    assert complete(select("sem-de-dup", pool, 1000).indices) == pytest.approx(981, abs=8)
    assert complete(select("random", pool, 1000).indices) < 760


def slow(x, keep="hard"):
    """Dissimilarity to the nearest earlier row, one cluster, by the book."""
    x = x / x.norm(dim=1, keepdim=True)
    centroid = x.mean(dim=0) / x.mean(dim=0).norm()
    order = (x @ centroid).argsort(descending=keep == "easy").tolist()
    unlike = {}
    for place, row in enumerate(order):
        before = [float(x[row] @ x[other]) for other in order[:place]]
        unlike[row] = 1 - max(before, default=-1.0)
    return unlike


@pytest.mark.parametrize("keep", ["hard", "easy"])
def test_against_the_definition(keep, monkeypatch):
    monkeypatch.setattr(sem_de_dup, "BLOCK_BYTES", 4000)
    x = pairs(40, 0.2).double()
    unlike = slow(x, keep)
    coreset = select("sem-de-dup", Pool(features=x), 80, clusters=1, keep=keep)
    assert coreset.indices.tolist() == sorted(unlike, key=lambda row: -unlike[row])
    assert coreset.gains.tolist() == pytest.approx(sorted(unlike.values(), reverse=True), abs=1e-9)


def test_epsilon_stops_at_near_duplicates():
    x = pairs(40, 0.2).double()
    kept = [row for row, unlike in slow(x).items() if unlike >= 0.1]
    coreset = select("sem-de-dup", Pool(features=x), 80, clusters=1, epsilon=0.1)
    assert sorted(coreset.indices.tolist()) == sorted(kept)
    assert 40 <= len(kept) < 80
    few = select("sem-de-dup", Pool(features=x), 5, clusters=1, epsilon=0.1)
    assert few.indices.tolist() == coreset.indices[:5].tolist()


def test_the_hard_or_the_easy_one_of_a_pair_stays():
    x = torch.tensor([[1.0, 0.0], [1.0, 0.01], [1.0, 0.3], [1.0, -0.3]])
    # The mean direction is nearly the first axis: row 0 is the easier of the pair 0, 1.
    hard = select("sem-de-dup", Pool(features=x), 3, clusters=1).indices.tolist()
    easy = select("sem-de-dup", Pool(features=x), 3, clusters=1, keep="easy").indices.tolist()
    assert 0 not in hard
    assert easy[0] == 0
    assert 1 not in easy
    kept = {
        tuple(
            {0, 1}
            & set(
                select(
                    "sem-de-dup", Pool(features=x), 3, clusters=1, seed=s, keep="random"
                ).indices.tolist()
            )
        )
        for s in range(20)
    }
    assert {(0,), (1,)} <= kept


def test_copies_of_given_rows_come_last():
    x = pairs(20, 0.001)
    picks = select("sem-de-dup", Pool(features=x), 15, clusters=1, given=list(range(5))).indices
    assert complete(picks, 20) == 15
    assert not {row % 20 for row in picks.tolist()} & {0, 1, 2, 3, 4}


def test_all_rows_equal_and_rows_of_zeros():
    assert len(select("sem-de-dup", Pool(features=torch.ones(9, 3)), 9)) == 9
    assert len(select("sem-de-dup", Pool(features=torch.ones(9, 3)), 9, epsilon=0.01)) == 1
    assert len(select("sem-de-dup", Pool(features=torch.zeros(4, 3)), 4)) == 4


def test_options_are_checked():
    for options in ({"epsilon": -0.1}, {"clusters": 0}, {"keep": "best"}):
        with pytest.raises(ArgumentError, match=next(iter(options))):
            select("sem-de-dup", Pool(features=torch.ones(9, 3)), 3, **options)
