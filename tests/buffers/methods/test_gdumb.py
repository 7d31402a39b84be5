"""The greedy balancing sampler against a slow reading of it."""

import random

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from buffers import GDumbBuffer


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(1, 12), st.integers(1, 9))
def test_counts_are_those_of_the_sequential_rule(labels, size, batch):
    counts = {}
    for label in labels:
        if sum(counts.values()) < size:
            counts[label] = counts.get(label, 0) + 1
        elif counts.get(label, 0) + 2 <= max(counts.values()):
            most = [c for c, n in counts.items() if n == max(counts.values())]
            # Which of the largest pays changes nothing in how many of each size there are.
            counts[random.Random(0).choice(most)] -= 1
            counts[label] = counts.get(label, 0) + 1
    buffer = GDumbBuffer(size)
    y = torch.tensor(labels)
    for part in torch.arange(len(y)).split(batch):
        buffer.add(part.view(-1, 1).float(), y[part])
    held = buffer.class_counts()
    assert sorted(held.values()) == sorted(n for n in counts.values() if n)
    assert sum(held.values()) == min(size, len(labels))


def test_a_full_balanced_memory_never_changes():
    buffer = GDumbBuffer(10)
    y = torch.arange(100) % 5
    buffer.add(torch.arange(100.0).view(-1, 1), y)
    before = buffer.store.x.clone()
    buffer.add(torch.arange(100.0).view(-1, 1) + 100, y)
    assert torch.equal(buffer.store.x, before)
