"""Sampled, imbalanced, long-tailed, thinned, noisy: scenarios made from scenarios."""

import pytest
import torch

from benchmarks.scenarios import (
    imbalanced,
    long_tailed,
    noisy,
    online,
    permuted,
    rotated,
    sampled,
    split,
    thinned,
)
from clcore.errors import ArgumentError


def assert_tests_are_untouched(before, after):
    for old, new in zip(before, after, strict=True):
        assert new.test is old.test
        assert new.classes_here == old.classes_here
        assert (new.index, new.task) == (old.index, old.task)


def test_sampled_keeps_a_random_part(data):
    scenario = split(data)
    smaller = sampled(scenario, 30)
    assert_tests_are_untouched(scenario, smaller)
    for old, new in zip(scenario, smaller, strict=True):
        rows = set(new.train.indices.tolist())
        assert len(new) == len(rows) == 30
        assert rows < set(old.train.indices.tolist())
    assert [len(e) for e in sampled(scenario, 1000)] == [80, 80]
    same, other = sampled(scenario, 30), sampled(scenario, 30, seed=1)
    assert torch.equal(same.experiences[0].train.indices, smaller.experiences[0].train.indices)
    assert not torch.equal(other.experiences[0].train.indices, smaller.experiences[0].train.indices)


def test_imbalanced_leaves_one_experience_dominant(data):
    scenario = permuted(data, 3)
    thin = imbalanced(scenario, 1, 0.1)
    assert [len(e) for e in thin] == [16, 160, 16]
    assert [len(e) for e in imbalanced(scenario, -1, 0.25, largest=100)] == [25, 25, 100]
    assert [len(e) for e in imbalanced(scenario, 0, 0.0001)] == [160, 1, 1]
    assert_tests_are_untouched(scenario, thin)
    # Built through the same permutation as before.
    assert thin.experiences[0].train.transform is scenario.experiences[0].train.transform


def test_long_tail_follows_its_formula(data):
    scenario = split(data, 1)
    tail = long_tailed(scenario, 0.1)
    expected = [round(40 * 0.1 ** (label / 3)) for label in range(4)]
    assert [e.class_counts for e in tail] == [{c: n} for c, n in enumerate(expected)]
    assert_tests_are_untouched(scenario, tail)
    reverse = long_tailed(scenario, 0.1, class_order=[3, 2, 1, 0])
    assert [len(e) for e in reverse] == expected[::-1]
    assert [len(e) for e in long_tailed(scenario, 0.1, largest=20)] == [20, 9, 4, 2]
    assert [len(e) for e in long_tailed(scenario, 1.0)] == [40] * 4
    every = long_tailed(permuted(data, 2), 0.1)
    assert [e.class_counts for e in every] == [dict(enumerate(expected))] * 2


def test_long_tail_may_shuffle_who_is_rare(data):
    scenario = split(data, 1)
    sizes = {
        tuple(len(e) for e in long_tailed(scenario, 0.1, class_order="shuffled", seed=seed))
        for seed in range(6)
    }
    assert len(sizes) > 1
    assert {tuple(sorted(entry)) for entry in sizes} == {(4, 9, 19, 40)}


def test_thinned_keeps_some_classes_whole(data):
    scenario = permuted(data, 2)
    thin = thinned(scenario, [1, 3], 0.1)
    assert [e.class_counts for e in thin] == [{0: 4, 1: 40, 2: 4, 3: 40}] * 2
    assert_tests_are_untouched(scenario, thin)
    for old, new in zip(scenario, thin, strict=True):
        assert new.train.transform is old.train.transform
        rows = new.train.indices.tolist()
        assert set(rows) < set(old.train.indices.tolist())
        assert len(set(rows)) == len(rows)
        place = {row: position for position, row in enumerate(old.train.indices.tolist())}
        assert [place[row] for row in rows] == sorted(place[row] for row in rows)
    assert [e.class_counts for e in thinned(split(data), [0], 0.0001)] == [
        {0: 40, 1: 1},
        {2: 1, 3: 1},
    ]
    assert [len(e) for e in thinned(split(data), [0], 1)] == [80, 80]
    same, other = thinned(scenario, [1, 3], 0.1), thinned(scenario, [1, 3], 0.1, seed=1)
    assert torch.equal(same.experiences[0].train.indices, thin.experiences[0].train.indices)
    assert not torch.equal(other.experiences[0].train.indices, thin.experiences[0].train.indices)


@pytest.mark.parametrize("among", ["experience", "scenario"])
@pytest.mark.parametrize("fraction", [0.2, 0.33, 1.0])
def test_label_noise_is_exact(data, fraction, among):
    spoilt = noisy(split(data), labels=fraction, among=among)
    for experience in spoilt:
        rows = experience.train
        wrong = rows.y != rows.true_y
        assert int(wrong.sum()) == round(fraction * 80)
        assert torch.equal(rows.true_y, data.train_y[rows.indices])
        allowed = experience.classes_here if among == "experience" else range(4)
        assert set(rows.y.tolist()) <= set(allowed)
        assert torch.equal(experience.train_x, data.train_x[rows.indices])
        assert sorted(experience.test_y.unique().tolist()) == list(experience.classes_here)


def test_wrong_labels_are_spread_over_all_other_classes(data):
    (experience,) = noisy(split(data, 4), labels=1.0)
    rows = experience.train
    pairs = torch.bincount(rows.true_y * 4 + rows.y, minlength=16).view(4, 4)
    assert pairs.diag().tolist() == [0] * 4
    # 40 draws over 3 classes: 13.3 +- 3 each.
    assert int(pairs[~torch.eye(4, dtype=torch.bool)].min()) >= 4


def test_image_noise_is_exact_and_the_same_however_rows_are_taken(data):
    spoilt = noisy(rotated(data, 2), images=0.6, deviation=0.3)
    for clean, experience in zip(rotated(data, 2), spoilt, strict=True):
        x = experience.train_x
        changed = (x != clean.train_x).flatten(1).any(dim=1)
        assert int(changed.sum()) == round(0.6 * 160)
        assert torch.equal(experience.train_y, clean.train_y)
        assert torch.equal(x, experience.train_x)
        positions = torch.tensor([17, 3, 99])
        assert torch.equal(experience.train.take(positions).x, x[positions])
        assert torch.equal(experience.train.image(42), x[42])
        assert experience.test.transform is not experience.train.transform
        assert torch.equal(experience.test_x, clean.test_x)
    first, second = spoilt.experiences
    assert not torch.equal(first.train.transform.chosen, second.train.transform.chosen)
    difference = first.train_x.double() - data.train_x.double()
    middle = (data.train_x > 115) & (data.train_x < 140)
    middle &= first.train.transform.chosen.view(-1, 1, 1, 1)
    assert float(difference[middle].std()) == pytest.approx(0.3 * 255, rel=0.15)


def test_noise_depends_on_its_seed_only(data):
    def content(seed):
        spoilt = noisy(split(data), labels=0.3, images=0.3, seed=seed)
        return torch.cat([e.train_y for e in spoilt]), torch.cat([e.train_x for e in spoilt])

    first, same, other = content(0), content(0), content(1)
    assert torch.equal(first[0], same[0])
    assert torch.equal(first[1], same[1])
    assert not torch.equal(first[0], other[0])
    assert not torch.equal(first[1], other[1])


def test_no_noise_changes_nothing(data):
    for old, new in zip(split(data), noisy(split(data)), strict=True):
        assert torch.equal(old.train_x, new.train_x)
        assert new.train.true_y is new.train.y


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (sampled, {"samples": 0}, "samples must be a whole number of at least 1"),
        (imbalanced, {"dominant": 2}, "allowed are -2 to 1"),
        (imbalanced, {"ratio": 0}, "allowed is above 0 to 1"),
        (imbalanced, {"ratio": 1.1}, "ratio is 1.1"),
        (imbalanced, {"largest": 0}, "largest must be"),
        (long_tailed, {"ratio": 0.0}, "ratio is 0.0"),
        (long_tailed, {"class_order": "up"}, "'natural', 'shuffled'"),
        (long_tailed, {"class_order": [1, 2]}, "each of 0 to 3 once"),
        (long_tailed, {"largest": -1}, "largest must be"),
        (thinned, {"keep": [4]}, r"keep is \[4\]; some of the classes 0 to 3 are needed"),
        (thinned, {"keep": []}, r"keep is \[\]; some of"),
        (thinned, {"keep": [-1]}, "keep: each class must be"),
        (thinned, {"keep": [0], "ratio": 0}, "ratio is 0; allowed is above 0 to 1"),
        (thinned, {"keep": [0], "ratio": 2}, "ratio is 2"),
        (thinned, {"keep": [0], "seed": -1}, "seed must be"),
        (noisy, {"labels": 1.2}, "labels is 1.2"),
        (noisy, {"labels": "a"}, "labels must be a number"),
        (noisy, {"images": -1}, "images is -1"),
        (noisy, {"deviation": 0}, "deviation is 0"),
        (noisy, {"among": "all"}, "'experience' and 'scenario'"),
    ],
)
def test_wrong_arguments_are_refused(data, function, arguments, message):
    with pytest.raises(ArgumentError, match=message):
        function(split(data), **arguments)


def test_a_single_class_has_no_wrong_label(data):
    with pytest.raises(ArgumentError, match="use among='scenario'"):
        noisy(split(data, 1), labels=0.1)
    assert len(noisy(split(data, 1), labels=0.1, among="scenario")) == 4


@pytest.mark.parametrize("function", [imbalanced, long_tailed, thinned, noisy, online])
def test_cutting_comes_last(data, function):
    with pytest.raises(ArgumentError, match="call online last"):
        function(online(split(data)))
