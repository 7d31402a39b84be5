"""Stratified picks: exact shares, uniform within, given rows, groups."""

import pytest
import torch

from clcore import ArgumentError, Pool, select

LABELS = torch.tensor([0] * 700 + [1] * 200 + [2] * 100)


def counts(picks, keys=LABELS):
    return torch.bincount(keys[picks], minlength=3).tolist()


def test_the_shares_of_the_docstring():
    pool = Pool(labels=LABELS)
    assert counts(select("stratified", pool, 100).indices) == [70, 20, 10]
    assert sorted(counts(select("stratified", pool, 100, shares="even").indices)) == [33, 33, 34]


@pytest.mark.parametrize("shares", ["proportional", "even"])
@pytest.mark.parametrize("k", [1, 17, 333, 999])
def test_total_is_exact_and_no_share_is_off_by_a_row(k, shares):
    got = counts(select("stratified", Pool(labels=LABELS), k, shares=shares).indices)
    assert sum(got) == k
    if shares == "proportional":
        assert all(
            abs(count - k * part) <= 1 for count, part in zip(got, (0.7, 0.2, 0.1), strict=True)
        )
    else:
        level = max(got)
        assert all(
            count >= min(level - 1, size) for count, size in zip(got, (700, 200, 100), strict=True)
        )


def test_the_remainder_goes_to_random_labels():
    pool = Pool(labels=LABELS)
    drawn = [
        int(LABELS[select("stratified", pool, 1, seed=s, shares="even").indices]) for s in range(60)
    ]
    # Round robin begins at a random row, so at a label in proportion to its size.
    assert set(drawn) == {0, 1, 2}


def test_rows_within_a_label_are_equally_likely():
    pool = Pool(labels=torch.tensor([0, 0, 0, 0, 1, 1]))
    hits = torch.zeros(6)
    for seed in range(600):
        hits[select("stratified", pool, 3, seed=seed).indices] += 1
    assert hits.tolist() == pytest.approx([300] * 6, abs=60)


def test_given_rows_count_towards_their_share():
    pool = Pool(labels=LABELS)
    picks = select("stratified", pool, 60, given=list(range(40)), shares="even").indices
    assert sorted(counts(picks)) == [0, 30, 30]


def test_groups_and_what_is_missing():
    groups = torch.arange(1000) % 3
    picks = select("stratified", Pool(groups=groups), 30, by="groups").indices
    assert counts(picks, groups) == [10, 10, 10]
    with pytest.raises(ArgumentError, match="labels"):
        select("stratified", Pool(groups=groups), 3)
    with pytest.raises(ArgumentError, match="shares"):
        select("stratified", Pool(labels=LABELS), 3, shares="fair")
