"""AutoBuffer against a slow sequential reading of its module's text."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from buffers import AutoBuffer, HerdingBuffer
from clcore.errors import ArgumentError, ClcoreError, SignalError


def clusters(n=400, classes=4, seed=0, spread=0.3):
    """Rows near one corner for each class, the labels in turn."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % classes
    return 2 * torch.eye(classes, 6)[y] + spread * torch.randn(n, 6, generator=generator), y


def noise(n, seed=0):
    """Rows that say nothing of their labels."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 5, generator=generator), torch.randint(3, (n,), generator=generator)


def even_shares(capacity, sizes):
    """One exemplar after the other to each class in turn that has more."""
    shares = dict.fromkeys(sizes, 0)
    while capacity > sum(shares.values()) < sum(sizes.values()):
        for label in sorted(sizes):
            if shares[label] < sizes[label] and sum(shares.values()) < capacity:
                shares[label] += 1
    return shares


class Slow:
    """The module's text, row by row: of each class a list of (sample, key), in rank order."""

    def __init__(self, capacity, seed, smallest=100, check=True):
        self.capacity, self.smallest, self.check = capacity, smallest, check
        self.generator = torch.Generator().manual_seed(seed)
        self.held = {}

    def add(self, x, y):
        keys = torch.rand(len(y), dtype=torch.float64, generator=self.generator).tolist()
        labels = y.tolist()
        small = len(y) < self.smallest
        agreed = [1.0] * len(y)
        if not small and self.check and len(set(labels)) > 1:
            torch.randperm(len(y), generator=self.generator)  # who may be a neighbour: all
            agreed = self.agreement(x.double(), labels)
        new = {}
        for row, label in enumerate(labels):
            new.setdefault(label, []).append((tuple(x[row].tolist()), keys[row], agreed[row]))
        present = sorted({*self.held, *new})
        count = {c: len(self.held.get(c, [])) + len(new.get(c, [])) for c in present}
        for label, share in even_shares(self.capacity, count).items():
            old = self.held.get(label, [])
            if label not in new:
                self.held[label] = old[:share]
            elif small:
                everyone = old + [(sample, key) for sample, key, _ in new[label]]
                self.held[label] = sorted(everyone, key=lambda pair: -pair[1])[:share]
            else:
                self.held[label] = self.herd(old, new[label], share)

    def herd(self, old, new, share):
        candidates = [(sample, 1.0) for sample, _ in old] + [(s, a) for s, _, a in new]
        least = max(share, math.ceil(len(candidates) / 2))
        first = sorted(range(len(candidates)), key=lambda row: -candidates[row][1])
        kept = [r for place, r in enumerate(first) if place < least or candidates[r][1] > 0.5]
        rows = [torch.tensor(candidates[r][0], dtype=torch.float64) for r in sorted(kept)]
        unit = [row / row.norm() for row in rows]
        mean, total, picks = sum(unit) / len(unit), torch.zeros(len(unit[0])).double(), []
        for step in range(1, share + 1):
            left = [i for i in range(len(unit)) if i not in picks]
            picks.append(min(left, key=lambda i: float((mean - (total + unit[i]) / step).norm())))
            total = total + unit[picks[-1]]
        keys = sorted([key for _, key in old] + [key for _, key, _ in new], reverse=True)
        samples = [candidates[sorted(kept)[i]][0] for i in picks]
        return list(zip(samples, keys, strict=False))

    @staticmethod
    def agreement(x, labels):
        shares = []
        for i, row in enumerate(x):
            others = [j for j in range(len(x)) if j != i]
            angle = [float(row @ x[j] / row.norm() / x[j].norm()) for j in others]
            nearest = sorted(range(len(others)), key=lambda place: -angle[place])[:10]
            shares.append(sum(labels[others[p]] == labels[i] for p in nearest) / len(nearest))
        return shares


def held(buffer):
    """Of each class (sample, key) in rank order."""
    everyone = buffer.all()
    order = everyone.columns["rank"].argsort().tolist()
    found = {}
    for row in order:
        pair = (tuple(everyone.x[row].tolist()), float(everyone.columns["key"][row]))
        found.setdefault(int(everyone.y[row]), []).append(pair)
    return found


def present(slow):
    return {label: pairs for label, pairs in slow.held.items() if pairs}


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("sizes", [(40, 40, 40), (30, 5, 1, 31), (3, 60, 2, 2, 45), (1, 1, 1)])
def test_it_does_what_its_text_says(sizes, check):
    buffer = AutoBuffer(17, seed=3, smallest_choice=30, check_labels=check, features="input")
    slow = Slow(17, seed=3, smallest=30, check=check)
    for part, size in enumerate(sizes):
        x, y = noise(size, seed=part)
        y = y + part % 2  # classes come and go
        buffer.add(x, y)
        slow.add(x, y)
        assert held(buffer) == present(slow)


@settings(derandomize=True, deadline=None, max_examples=15)
@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=60),
    size=st.integers(1, 25),
    cut=st.integers(1, 20),
    seed=st.integers(0, 1000),
)
def test_small_batches_leave_the_largest_keys_of_each_class(labels, size, cut, seed):
    y, x = torch.tensor(labels), torch.arange(float(len(labels))).view(-1, 1)
    buffer = AutoBuffer(size, seed=seed)  # needs no features
    generator, keys = torch.Generator().manual_seed(seed), []
    for part in torch.split(torch.arange(len(y)), cut):
        buffer.add(x[part], y[part])
        keys.append(torch.rand(len(part), dtype=torch.float64, generator=generator))
    keys = torch.cat(keys)
    shares = even_shares(size, {c: labels.count(c) for c in set(labels)})
    expected = set()
    for label, share in shares.items():
        rows = (y == label).nonzero().view(-1)
        expected |= set(rows[keys[rows].argsort(descending=True)[:share]].tolist())
    assert set(buffer.all().x.view(-1).int().tolist()) == expected


def test_within_a_class_small_batches_are_a_uniform_sample():
    y = (torch.arange(40) % 4 == 0).long()  # ten of class 1 among thirty of class 0
    x = torch.arange(40.0).view(-1, 1)
    counts, runs = torch.zeros(40), 400
    for seed in range(runs):
        buffer = AutoBuffer(10, seed=seed)
        for part in torch.split(torch.arange(40), 8):
            buffer.add(x[part], y[part])
        counts[buffer.all().x.view(-1).long()] += 1
    for label, rows in ((0, 30), (1, 10)):
        rate = 5 / rows
        spread = math.sqrt(runs * rate * (1 - rate))
        assert float((counts[y == label] - runs * rate).abs().max()) < 3.5 * spread


def test_clean_separate_classes_are_herded():
    x, y = clusters()
    ours = AutoBuffer(20, features="input", seed=1)
    herding = HerdingBuffer(20, features="input", seed=5)
    ours.add(x, y)
    herding.add(x, y)
    assert {tuple(row) for row in ours.all().x.tolist()} == {
        tuple(row) for row in herding.all().x.tolist()
    }
    assert ours.cost.distance_evaluations > 400 * 400


def test_herded_exemplars_take_over_the_largest_keys_and_may_be_followed_by_a_stream():
    x, y = clusters(400)
    buffer = AutoBuffer(20, features="input", seed=2)
    buffer.add(x, y)
    drawn = torch.rand(400, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    for label, pairs in held(buffer).items():
        largest = drawn[y == label].sort(descending=True).values[:5].tolist()
        assert [key for _, key in pairs] == largest
    # A hundred rows of each class have been seen, so each further row enters at 5 in 101 and less.
    before = {pair[0] for pairs in held(buffer).values() for pair in pairs}
    fresh, labels = clusters(200, seed=9)
    for part in torch.split(torch.arange(200), 10):
        buffer.add(fresh[part], labels[part])
    stayed = before & {pair[0] for pairs in held(buffer).values() for pair in pairs}
    # Of 150 seen five stay, and each of those held had the same chance: 20 · 100 / 150 on average.
    assert 8 <= len(stayed) <= 19
    assert buffer.class_counts() == dict.fromkeys(range(4), 5)


def test_wrong_labels_are_passed_over_and_right_ones_are_not():
    x, y = clusters(800)
    generator = torch.Generator().manual_seed(1)
    wrong = torch.rand(800, generator=generator) < 0.3
    given_y = torch.where(wrong, (y + torch.randint(1, 4, (800,), generator=generator)) % 4, y)
    wrong_samples = {tuple(row) for row in x[wrong].tolist()}

    def wrong_share(**options):
        buffer = AutoBuffer(40, features="input", **options)
        buffer.add(x, given_y)
        assert buffer.class_counts() == dict.fromkeys(range(4), 10)
        return sum(tuple(row) in wrong_samples for row in buffer.all().x.tolist()) / 40

    assert wrong_share() == 0
    assert wrong_share(check_labels=False) > 0.15


def test_half_of_a_class_that_lies_among_another_stays_a_candidate():
    x, _ = clusters(200, classes=1)
    y = torch.zeros(200, dtype=torch.int64)
    y[::10] = 1  # twenty rows that no neighbour bears out
    agreed = torch.tensor(Slow.agreement(x.double(), y.tolist()))
    inside = y == 1
    assert float(agreed[inside].max()) <= 0.5
    limit = agreed[inside].sort(descending=True).values[9]
    buffer = AutoBuffer(16, features="input")
    buffer.add(x, y)
    assert buffer.class_counts() == {0: 8, 1: 8}
    kept = {tuple(row) for row in buffer.all().x[buffer.all().y == 1].tolist()}
    scores = [float(agreed[i]) for i in range(200) if tuple(x[i].tolist()) in kept]
    assert len(scores) == 8
    assert min(scores) >= float(limit)
    # A class as small as its share is kept whole.
    buffer = AutoBuffer(100, features="input")
    buffer.add(x, y)
    assert buffer.class_counts() == {0: 80, 1: 20}


def test_a_single_class_has_no_other_to_contradict_it():
    x, y = clusters(200, classes=1)
    buffer = AutoBuffer(10, features="input")
    buffer.add(x, y)
    herded = HerdingBuffer(10, features="input")
    herded.add(x, y)
    assert buffer.class_counts() == {0: 10}
    assert buffer.cost.distance_evaluations == herded.cost.distance_evaluations


def test_rows_one_by_one():
    x, y = noise(60)
    for smallest in (100, 0):
        buffer = AutoBuffer(9, seed=1, smallest_choice=smallest, features="input")
        slow = Slow(9, seed=1, smallest=smallest)
        for row in range(60):
            buffer.add(x[row : row + 1], y[row : row + 1])
            slow.add(x[row : row + 1], y[row : row + 1])
        assert held(buffer) == present(slow)
        assert buffer.class_counts() == dict.fromkeys(range(3), 3)


def test_large_updates_compare_with_a_part_only(monkeypatch):
    monkeypatch.setattr("buffers.auto._AMONG", 50)
    monkeypatch.setattr("buffers.auto._BLOCK", 64)
    x, y = clusters(400)
    buffer = AutoBuffer(20, features="input")
    buffer.add(x, y)
    herded = HerdingBuffer(20, features="input")
    herded.add(x, y)
    extra = buffer.cost.distance_evaluations - herded.cost.distance_evaluations
    assert extra == 400 * 50
    assert buffer.class_counts() == dict.fromkeys(range(4), 5)


def test_resume_is_bit_for_bit(tmp_path):
    parts = [noise(size, seed=part) for part, size in enumerate((40, 7, 120, 3, 150, 20))]
    whole, half = (AutoBuffer(13, seed=4, features="input") for _ in range(2))
    for x, y in parts[:3]:
        whole.add(x, y)
        half.add(x, y)
    half.save(tmp_path / "memory.safetensors")
    loaded = AutoBuffer(13, seed=99, features="input").load(tmp_path / "memory.safetensors")
    for x, y in parts[3:]:
        whole.add(x, y)
        loaded.add(x, y)
    assert held(loaded) == held(whole)
    assert torch.equal(loaded.all().x, whole.all().x)


@pytest.mark.parametrize(
    ("before", "columns", "error", "words"),
    [
        ("small", {}, ArgumentError, "features: AutoBuffer chooses by this signal"),
        ("none", {"key": torch.rand(150)}, ArgumentError, "key: AutoBuffer writes this column"),
        ("none", {"rank": torch.arange(150)}, ArgumentError, "rank: AutoBuffer writes this column"),
        ("large", {"features": torch.full((150, 5), torch.nan)}, SignalError, "features"),
    ],
)
def test_what_is_refused_changes_nothing(before, columns, error, words):
    buffer, again = AutoBuffer(10, seed=1), AutoBuffer(10, seed=1)
    x, y = noise({"none": 0, "small": 50, "large": 150}[before])
    given_features = {"features": x} if before == "large" else {}
    for memory in (buffer, again) if before != "none" else ():
        memory.add(x, y, **given_features)
    with pytest.raises(error, match=words):
        buffer.add(*noise(150, seed=2), **columns)
    assert buffer.seen == again.seen
    x, y = noise(50, seed=3)  # draws keys, which a refused update must not have drawn
    given_features = {"features": x} if before == "large" else {}
    for memory in (buffer, again):
        memory.add(x, y, **given_features)
    assert held(buffer) == held(again)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"smallest_choice": -1}, "smallest_choice"),
        ({"smallest_choice": 1.5}, "smallest_choice"),
        ({"check_labels": "no"}, "check_labels: got 'no'; True or False"),
        ({"features": "output"}, "features"),
    ],
)
def test_wrong_options_are_refused(options, words):
    with pytest.raises(ClcoreError, match=words):
        AutoBuffer(10, **options)


def test_a_class_that_comes_again_in_other_tasks_is_shared_among_them():
    buffer = AutoBuffer(24, features="input")
    for task in range(4):
        buffer.add(torch.randn(200, 4), torch.arange(200) % 2, task)
        held = torch.stack((buffer.store.y, buffer.store.task), 1).tolist()
        counts = {(label, t): held.count([label, t]) for label in (0, 1) for t in range(task + 1)}
        assert max(counts.values()) - min(counts.values()) <= 1
        assert sum(counts.values()) == 24


def test_more_tasks_than_slots_of_a_class_keep_no_task_for_good():
    first = []
    for seed in range(12):
        buffer = AutoBuffer(2, seed=seed, features="input")
        for task in range(6):
            buffer.add(torch.randn(100, 3), torch.zeros(100, dtype=torch.int64), task)
        first += buffer.store.task.tolist()
    assert len(set(first)) >= 5
