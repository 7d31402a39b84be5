"""Chunked: one stream in parts of equal size, whatever experience their rows are from."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.scenarios import chunked, imbalanced, noisy, online, permuted, split
from clcore.errors import ArgumentError

QUIET = settings(
    derandomize=True,
    deadline=None,
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # the data is only read
)


@QUIET
@given(size=st.integers(1, 53), drop_last=st.booleans())
def test_chunks_are_the_stream_cut_every_so_many_rows(data, size, drop_last):
    whole = split(data)  # two experiences of 80
    stream = chunked(whole, size, shuffle=False, drop_last=drop_last)
    rows = torch.cat([e.train.indices for e in whole])
    origins = torch.arange(2).repeat_interleave(80)
    expected = [rows[start : start + size] for start in range(0, 160, size)]
    parents = [int(origins[start]) for start in range(0, 160, size)]
    if drop_last and 160 % size:
        expected, parents = expected[:-1], parents[:-1]
    assert [e.train.indices.tolist() for e in stream] == [part.tolist() for part in expected]
    labels = dict(zip(rows.tolist(), torch.cat([e.train_y for e in whole]).tolist(), strict=True))
    assert all(
        labels[row] == label
        for e in stream
        for row, label in zip(e.train.indices.tolist(), e.train_y.tolist(), strict=True)
    )
    assert [e.parent for e in stream] == parents
    assert [e.index for e in stream] == list(range(len(parents)))
    for old in whole:
        parts = [e for e in stream if e.parent == old.index]
        assert [e.is_first_part for e in parts] == [True] + [False] * (len(parts) - 1)
        assert [e.is_last_part for e in parts] == [False] * (len(parts) - 1) + [True]
        assert all(e.test is old.test and e.task == old.task for e in parts)
        assert all(e.classes_here == old.classes_here for e in parts)
    assert [e.parent for e in stream.evaluation] == [0, 1]


def test_a_chunk_over_a_border_has_both_experiences_images(data):
    whole = imbalanced(split(data), dominant=1, ratio=0.25)  # 20 and 80 rows
    stream = chunked(whole, 15)
    assert [len(e) for e in stream] == [15] * 6
    assert [e.parent for e in stream] == [0, 0, 1, 1, 1, 1]
    border = stream.experiences[1]
    assert set(border.train_y[:5].tolist()) <= {0, 1}
    assert set(border.train_y[5:].tolist()) <= {2, 3}
    assert border.train_task.tolist() == [0] * 15
    assert torch.equal(border.train_x, data.train_x[border.train.indices])
    assert torch.equal(border.train_y, data.train_y[border.train.indices])


def test_right_labels_are_kept_beside_wrong_ones(data):
    whole = noisy(split(data), labels=0.5)
    for e in chunked(whole, 30, drop_last=False):
        assert torch.equal(e.train.true_y, data.train_y[e.train.indices])
        assert not torch.equal(e.train.true_y, e.train_y)
    clean = chunked(split(data), 30)
    assert all(e.train.true_y is e.train.y for e in clean)


def test_rows_are_shuffled_within_their_experience(data):
    def rows(**arguments):
        return [e.train.indices.tolist() for e in chunked(split(data), 40, **arguments)]

    assert rows() == rows() != rows(seed=1)
    assert rows() != rows(shuffle=False)
    first = [row for chunk in rows()[:2] for row in chunk]
    assert sorted(first) == sorted(split(data).experiences[0].train.indices.tolist())


def test_avalanche_gets_the_same_chunks(data):
    stream = chunked(imbalanced(split(data), dominant=1, ratio=0.25), 15)
    benchmark = stream.to_avalanche(normalise=False)
    assert len(benchmark.train_stream) == 6
    assert len(benchmark.test_stream) == 2
    for ours, theirs in zip(stream, benchmark.train_stream, strict=True):
        assert [y for _, y in theirs.dataset] == ours.train_y.tolist()
        assert torch.equal(torch.stack([x for x, _ in theirs.dataset]), ours.train_x)
        assert theirs.origin_experience.current_experience == ours.parent


def test_experiences_that_are_made_otherwise_are_cut_at_their_borders_only(data):
    whole = permuted(data, 2)  # 160 rows each
    stream = chunked(whole, 80, shuffle=False)
    assert torch.equal(stream.experiences[2].train_x, whole.experiences[1].train_x[:80])
    with pytest.raises(ArgumentError, match="experiences 0 and 1, which are not made alike"):
        chunked(whole, 50)


@pytest.mark.parametrize(
    ("size", "drop_last", "words"),
    [
        (0, True, "size must be a whole number of at least 1"),
        (2.5, True, "size must be a whole number of at least 1"),
        (90, True, "no chunk begins in experience 1, which has 80 training images"),
        (161, True, "no chunk begins in experience 0, which has 80 training images"),
        (161, False, "no chunk begins in experience 1"),
    ],
)
def test_wrong_sizes_are_refused(data, size, drop_last, words):
    with pytest.raises(ArgumentError, match=words):
        chunked(split(data), size, drop_last=drop_last)


def test_a_stream_that_is_cut_already_is_refused(data):
    with pytest.raises(ArgumentError, match="already cut into batches"):
        chunked(online(split(data), 10), 5)
    with pytest.raises(ArgumentError, match="already cut into batches"):
        online(chunked(split(data), 10), 5)
