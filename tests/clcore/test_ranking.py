"""Ranking: turns of labels, ranks within, one number a row."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clcore import ArgumentError, Pool, SignalError
from clcore.ranking import best_first, in_turn, one_number, one_of, rank_within, rows_by

keys = st.lists(st.integers(-2, 3), min_size=1, max_size=20)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(keys)
def test_rank_within_and_rows_by_against_loops(column):
    tensor = torch.tensor(column)
    assert rank_within(tensor).tolist() == [column[:i].count(key) for i, key in enumerate(column)]
    expected = [
        [i for i, key in enumerate(column) if key == label] for label in sorted(set(column))
    ]
    assert [rows.tolist() for rows in rows_by(tensor)] == expected


@settings(derandomize=True, deadline=None, max_examples=60)
@given(keys, st.sampled_from(["proportional", "even"]), st.data())
def test_every_prefix_shares_fairly_and_keeps_the_order_within(column, shares, data):
    order = data.draw(st.permutations(range(len(column))))
    taken = data.draw(st.sets(st.sampled_from(range(len(column)))))
    labels = torch.tensor(column)
    first = torch.tensor(sorted(taken), dtype=torch.int64)
    ranked = in_turn(torch.tensor(order), labels, first, shares=shares).tolist()
    assert sorted(ranked) == list(range(len(column)))
    late = [row for row in ranked if row not in taken]
    for label in set(column):
        mine = [row for row in order if column[row] == label and row not in taken]
        assert [row for row in late if column[row] == label] == mine
    sizes = {label: column.count(label) for label in column}
    counts = dict.fromkeys(sizes, 0)
    for row in ranked:
        # The next in line is one whose turn is the least of all labels that have rows left.
        half = 0.5 if shares == "proportional" else 0.0
        unit = sizes if shares == "proportional" else dict.fromkeys(sizes, 1)
        waiting = {
            label: (counts[label] + half) / unit[label]
            for label in sizes
            if counts[label] < sizes[label]
        }
        assert waiting[column[row]] == min(waiting.values())
        counts[column[row]] += 1


def test_ties_are_broken_by_row_or_by_the_generator():
    scores = torch.tensor([1.0, 3, 1, 3])
    assert best_first(scores).tolist() == [1, 3, 0, 2]
    generator = torch.Generator().manual_seed(0)
    seen = {tuple(best_first(scores, generator).tolist()) for _ in range(50)}
    assert len(seen) == 4


def test_one_number_a_row():
    pool = Pool(
        flat=torch.zeros(3),
        column=torch.zeros(3, 1, dtype=torch.float16),
        whole=torch.zeros(3, dtype=torch.int64),
        wide=torch.zeros(3, 2),
    )
    assert one_number(pool, "flat").dtype == torch.float32
    assert one_number(pool, "column").shape == (3,)
    assert one_number(pool, "whole").dtype == torch.float64
    with pytest.raises(SignalError, match="'wide'"):
        one_number(pool, "wide")


def test_words_are_checked():
    with pytest.raises(ArgumentError, match="mode must be 'a' or 'b', not 'c'"):
        one_of("mode", "c", ("a", "b"))
