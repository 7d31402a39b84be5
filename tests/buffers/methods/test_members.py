"""The index from classes to slots agrees with a search through the labels."""

import random
from collections import Counter

import torch

from buffers.members import Members, even_share


def test_agrees_with_a_search():
    draw = random.Random(0)
    labels = [draw.randrange(4) for _ in range(12)]
    members = Members(labels)
    for _ in range(300):
        if len(labels) < 30 and draw.random() < 0.2:
            labels.append(draw.randrange(6))
            assert members.append(labels[-1]) == len(labels) - 1
        else:
            slot = draw.randrange(len(labels))
            labels[slot] = draw.randrange(6)
            members.replace(slot, labels[slot])
        counts = Counter(labels)
        assert {label: sorted(slots) for label, slots in members.slots.items()} == {
            label: [slot for slot, other in enumerate(labels) if other == label] for label in counts
        }
        assert set(members.largest()) == {c for c in counts if counts[c] == max(counts.values())}
        assert all(members.count(label) == counts[label] for label in range(6))
        again = Members(labels, members.order().tolist())
        assert list(again.slots.items()) == list(members.slots.items())


def test_every_member_can_be_drawn():
    members = Members([0, 1, 0, 1, 0])
    assert {members.draw(0, u) for u in (0.0, 0.34, 0.999999)} == {0, 2, 4}


def test_even_share():
    labels = torch.tensor([5] * 10 + [7] * 2 + [9] * 10)
    rows = even_share(labels, 9, torch.Generator().manual_seed(0))
    assert Counter(labels[rows].tolist()) == {5: 4, 7: 2, 9: 3}
    assert rows.tolist() == sorted(set(rows.tolist()))
