"""Ring buffers against a slow sequential reference, at every cut into batches."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from buffers import RingBuffer
from clcore.errors import ArgumentError, FormatError
from clcore.quotas import fair_shares


def slow_ring(groups, size, lend, total):
    """One row at a time: the rows held by each group, oldest first."""
    rings = {}
    for row, group in enumerate(groups):
        rings.setdefault(group, [])
        if lend:
            held = sum(map(len, rings.values()))
            most = max(map(len, rings.values()))
            if held < size:
                pass
            elif len(rings[group]) + 2 <= most:
                largest = min(g for g, ring in rings.items() if len(ring) == most)
                rings[largest].pop(0)
            elif rings[group]:
                rings[group].pop(0)
            else:
                continue
            rings[group].append(row)
        else:
            rings[group].append(row)
            quotas = fair_shares(size, [size] * (total or len(rings)))
            for ring, quota in zip(rings.values(), quotas, strict=False):
                del ring[: max(0, len(ring) - quota)]
    return {group: ring for group, ring in rings.items() if ring}


def held_by(buffer):
    held = {}
    order = buffer.store.born.argsort()
    labels = buffer.store.y if buffer.groups == "class" else buffer.store.task
    for row, group in zip(buffer.store.born[order].tolist(), labels[order].tolist(), strict=True):
        held.setdefault(group, []).append(row)
    return held


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    groups=st.lists(st.integers(0, 5), min_size=1, max_size=60),
    cuts=st.lists(st.integers(1, 20), min_size=1, max_size=20),
    size=st.integers(1, 14),
    lend=st.booleans(),
    total=st.sampled_from([None, 6, 9]),
    by=st.sampled_from(["class", "task"]),
)
def test_same_as_the_sequential_reference(groups, cuts, size, lend, total, by):
    total = None if total is None or total > size else total
    buffer = RingBuffer(size, groups=by, total_groups=total, lend=lend)
    label, other = torch.tensor(groups), torch.arange(len(groups)) % 2
    y, task = (label, other) if by == "class" else (other, label)
    start, turn = 0, 0
    while start < len(groups):
        end = min(len(groups), start + cuts[turn % len(cuts)])
        slots = buffer.add(torch.arange(float(start), end), y[start:end], task[start:end])
        stored = buffer.store.born[slots[slots >= 0]]
        assert torch.equal(stored, torch.arange(start, end)[slots >= 0])
        start, turn = end, turn + 1
    assert held_by(buffer) == slow_ring(groups, size, lend, total)
    assert torch.equal(buffer.all().x, buffer.store.born.float())


def test_the_reloaded_ring_agrees_after_gaps_were_closed(tmp_path):
    buffer = RingBuffer(12, lend=False)
    buffer.add(torch.arange(12.0), torch.zeros(12, dtype=torch.int64))
    buffer.add(torch.arange(12, 13.0), torch.ones(1, dtype=torch.int64))
    assert buffer.class_counts() == {0: 6, 1: 1}
    buffer.save(tmp_path / "ring")
    other = RingBuffer(12, lend=False).load(tmp_path / "ring")
    for one in (buffer, other):
        one.add(torch.arange(13, 20.0), torch.tensor([0, 1, 2, 0, 1, 2, 0]))
    assert torch.equal(buffer.all().x, other.all().x)


def test_lent_quota_is_given_back():
    buffer = RingBuffer(10)
    buffer.add(torch.arange(30.0), torch.zeros(30, dtype=torch.int64))
    assert buffer.class_counts() == {0: 10}
    buffer.add(torch.arange(30, 33.0), torch.ones(3, dtype=torch.int64))
    assert buffer.class_counts() == {0: 7, 1: 3}
    buffer.add(torch.arange(33, 60.0), torch.full((27,), 2))
    assert sorted(buffer.class_counts().values()) == [3, 3, 4]
    zeros = buffer.all().x[buffer.all().y == 0]
    assert sorted(zeros.tolist()) == list(range(30 - len(zeros), 30))


def test_without_lending_slots_wait_for_their_class():
    buffer = RingBuffer(10, total_groups=5, lend=False)
    buffer.add(torch.arange(30.0), torch.zeros(30, dtype=torch.int64))
    assert sorted(buffer.all().x.tolist()) == [28.0, 29.0]
    assert len(buffer) == 2


@pytest.mark.parametrize("lend", [True, False])
def test_one_group_too_many(lend):
    buffer = RingBuffer(10, total_groups=2, lend=lend)
    buffer.add(torch.rand(2), torch.tensor([4, 7]))
    with pytest.raises(ArgumentError, match="class: 5 is one more than the 2 groups"):
        buffer.add(torch.rand(2), torch.tensor([7, 5]))
    assert len(buffer) == 2
    assert buffer.seen == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": "domain"}, "groups: got 'domain'"),
        ({"total_groups": 0}, "total_groups"),
        ({"total_groups": 11}, "total_groups: got 11, more than the 10"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ArgumentError, match=message):
        RingBuffer(10, **options)


@pytest.mark.parametrize("lend", [True, False])
def test_shrinking_keeps_the_newest_of_each(lend):
    buffer = RingBuffer(12, lend=lend)
    buffer.add(torch.arange(40.0), torch.arange(40) % 2)
    buffer.resize(None, 5)
    assert held_by(buffer) == {0: [34, 36, 38], 1: [37, 39]}
    buffer.add(torch.arange(40, 44.0), torch.arange(4) % 2)
    assert held_by(buffer) == {0: [38, 40, 42], 1: [41, 43]}


def test_a_state_with_other_groups_is_refused():
    state = RingBuffer(10).state_dict()
    with pytest.raises(FormatError, match="groups='class', this one groups='task'"):
        RingBuffer(10, groups="task").load_state_dict(state)
