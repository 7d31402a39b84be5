"""Balanced and class-balancing reservoirs against slow sequential readings of their papers."""

import random
from collections import Counter

import pytest
import torch

from buffers import BalancedReservoirBuffer, ClassBalancingReservoirBuffer

METHODS = [BalancedReservoirBuffer, ClassBalancingReservoirBuffer]


def slow_balanced(labels, size, draw):
    """Buzzega et al. 2020, row by row; the memory as a list of (row, label)."""
    memory = []
    for n, label in enumerate(labels):
        if len(memory) < size:
            memory.append((n, label))
        elif draw.randint(0, n) < size:
            memory[pick_of_largest(memory, draw)] = (n, label)
    return memory


def slow_class_balancing(labels, size, draw):
    """Chrysakis and Moens 2020, algorithm 1, row by row."""
    memory, full, seen = [], set(), Counter()
    for n, label in enumerate(labels):
        seen[label] += 1
        if len(memory) < size:
            memory.append((n, label))
        elif label not in full:
            memory[pick_of_largest(memory, draw)] = (n, label)
        else:
            own = [slot for slot, (_, other) in enumerate(memory) if other == label]
            if draw.random() <= len(own) / seen[label]:
                memory[draw.choice(own)] = (n, label)
        if len(memory) == size:
            full |= largest(memory)
    return memory


def largest(memory):
    counts = Counter(label for _, label in memory)
    return {label for label, count in counts.items() if count == max(counts.values())}


def pick_of_largest(memory, draw):
    victim = draw.choice(sorted(largest(memory)))
    return draw.choice([slot for slot, (_, label) in enumerate(memory) if label == victim])


SLOW = {BalancedReservoirBuffer: slow_balanced, ClassBalancingReservoirBuffer: slow_class_balancing}


def long_tailed():
    """60 rows of 4 classes: 36, 14, 7 and 3, mixed."""
    labels = [0] * 36 + [1] * 14 + [2] * 7 + [3] * 3
    random.Random(5).shuffle(labels)
    return labels


def one_after_the_other():
    return [0] * 25 + [1] * 20 + [2] * 15


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stream", [long_tailed, one_after_the_other])
def test_same_distribution_as_the_sequential_reference(method, stream):
    labels, size, repetitions = stream(), 12, 500
    y, x = torch.tensor(labels), torch.arange(60.0)
    ours, theirs = torch.zeros(60), torch.zeros(60)
    our_counts, their_counts = Counter(), Counter()
    for seed in range(repetitions):
        buffer = method(size, seed=seed)
        for rows in torch.arange(60).split(30):
            buffer.add(x[rows], y[rows])
        ours[buffer.store.born] += 1
        our_counts[tuple(sorted(buffer.class_counts().items()))] += 1
        memory = SLOW[method](labels, size, random.Random(seed))
        theirs[[row for row, _ in memory]] += 1
        their_counts[tuple(sorted(Counter(label for _, label in memory).items()))] += 1
    # Two-sample χ² over the positions: about 60 degrees of freedom, 99.9 % quantile 99.6.
    total = ours + theirs
    used = total > 0
    share = total / (2 * repetitions)
    spread = (total * (1 - share)).clamp(min=1)
    assert float((((ours - theirs) ** 2) / spread)[used].sum()) < 99.6
    # The compositions of the memory, each as often.
    for composition in {*our_counts, *their_counts}:
        a, b = our_counts[composition], their_counts[composition]
        assert abs(a - b) < 4.5 * max(a + b, 4) ** 0.5, composition


@pytest.mark.parametrize("method", METHODS)
def test_the_cut_into_batches_changes_nothing(method):
    y = torch.randint(0, 6, (500,), generator=torch.Generator().manual_seed(1))
    x = torch.arange(500.0)
    whole, cut = method(30, seed=2), method(30, seed=2)
    whole.add(x, y)
    for rows in torch.arange(500).split(13):
        cut.add(x[rows], y[rows])
    if method is ClassBalancingReservoirBuffer:
        assert whole._full == cut._full
        assert whole._seen_of == cut._seen_of == Counter(y.tolist())
    assert torch.equal(whole.all().x, cut.all().x)


def test_class_balancing_keeps_every_row_of_rare_classes():
    y = torch.zeros(1000, dtype=torch.int64)
    y[torch.tensor([5, 300, 301, 999])] = torch.tensor([1, 2, 2, 3])
    buffer = ClassBalancingReservoirBuffer(20)
    buffer.add(torch.arange(1000.0), y)
    assert buffer.class_counts() == {0: 16, 1: 1, 2: 2, 3: 1}


def test_class_balancing_evens_out_a_class_incremental_stream():
    buffer = ClassBalancingReservoirBuffer(30)
    for label in range(5):
        for _ in range(20):
            buffer.add(torch.rand(10), torch.full((10,), label))
    assert buffer.class_counts() == dict.fromkeys(range(5), 6)


def test_balanced_reservoir_is_level_where_a_reservoir_is_not():
    y = torch.tensor([0, 0, 0, 0, 1]).repeat(400)
    buffer = BalancedReservoirBuffer(40)
    for rows in y.split(50):
        buffer.add(torch.rand(50), rows)
    assert abs(buffer.class_counts()[0] - buffer.class_counts()[1]) <= 4  # a reservoir: 32 and 8


@pytest.mark.parametrize("method", METHODS)
def test_shrinking_keeps_the_classes_level(method):
    buffer = method(40)
    buffer.add(torch.rand(2000), torch.arange(2000) % 4)
    buffer.resize(None, 10)
    assert sorted(buffer.class_counts().values()) == [2, 2, 3, 3]


@pytest.mark.parametrize("method", METHODS)
def test_more_classes_than_slots(method):
    buffer = method(5)
    for start in range(0, 100, 10):
        buffer.add(torch.rand(10), torch.arange(start, start + 10))
    assert len(buffer) == 5
    assert set(buffer.class_counts().values()) == {1}


@pytest.mark.parametrize("method", METHODS)
def test_labels_may_be_any_large_number(method):
    buffer = method(6)
    buffer.add(torch.rand(100), torch.arange(100) % 3 * 10**12)
    assert set(buffer.class_counts()) == {0, 10**12, 2 * 10**12}
