"""Split and blurry: who gets which image."""

import pytest
import torch

from benchmarks.scenarios import blurry, split
from clcore.errors import ArgumentError


def assert_each_image_once(scenario, data):
    rows = torch.cat([experience.train.indices for experience in scenario])
    assert torch.equal(rows.sort().values, torch.arange(len(data.train_y)))
    for experience in scenario:
        assert torch.equal(experience.train_x, data.train_x[experience.train.indices])
        assert torch.equal(experience.train_y, data.train_y[experience.train.indices])


def test_split_deals_out_classes(data):
    scenario = split(data, 2)
    assert_each_image_once(scenario, data)
    assert len(scenario) == 2
    assert scenario.classes == 4
    assert scenario.image_shape == (2, 6, 6)
    for index, experience in enumerate(scenario):
        classes = (2 * index, 2 * index + 1)
        assert experience.classes_here == classes
        assert experience.class_counts == dict.fromkeys(classes, 40)
        assert sorted(experience.test_y.unique().tolist()) == list(classes)
        assert len(experience.test_y) == 10
        expected = data.test_x[torch.isin(data.test_y, torch.tensor(classes))]
        assert torch.equal(experience.test_x, expected)
        assert experience.train_task.tolist() == [index] * 80
        assert experience.test_task.tolist() == [index] * 10
        assert experience.train_x.dtype == torch.uint8
        assert experience.train_y.dtype == experience.train_task.dtype == torch.int64
        assert len(experience) == 80


def test_class_order_is_natural_shuffled_or_given(data):
    given = split(data, 1, class_order=[3, 1, 0, 2])
    assert [experience.classes_here for experience in given] == [(3,), (1,), (0,), (2,)]
    orders = {
        tuple(e.classes_here for e in split(data, 1, class_order="shuffled", seed=seed))
        for seed in range(8)
    }
    assert len(orders) > 3
    again = [split(data, 1, class_order="shuffled", seed=3) for _ in range(2)]
    assert [e.classes_here for e in again[0]] == [e.classes_here for e in again[1]]


@pytest.mark.parametrize("function", [split, blurry])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"classes_per_experience": 3},
            r"not divide the 4 classes .* allowed are \[1, 2, 4\]",
        ),
        ({"classes_per_experience": 0}, "classes_per_experience must be a whole number"),
        ({"classes_per_experience": 2.0}, "classes_per_experience must be a whole number"),
        ({"class_order": "random"}, "'natural', 'shuffled'"),
        ({"class_order": [0, 1, 2]}, "each of 0 to 3 once"),
        ({"class_order": [0, 1, 2, 2]}, "each of 0 to 3 once"),
        ({"seed": -1}, "seed must be a whole number"),
    ],
)
def test_wrong_arguments_are_refused(data, function, arguments, message):
    with pytest.raises(ArgumentError, match=message):
        function(data, **arguments)


@pytest.mark.parametrize("minority", [0.0, 0.1, 0.3, 1.0])
def test_blurry_keeps_each_image_once_and_its_fraction(data, minority):
    scenario = blurry(data, 1, minority=minority)
    assert_each_image_once(scenario, data)
    away = round(minority * 40)
    for experience in scenario:
        (main,) = experience.classes_here
        counts = experience.class_counts
        assert counts.get(main, 0) == 40 - away
        others = [counts.get(label, 0) for label in range(4) if label != main]
        # Dealt out evenly: 4 images over 3 experiences is 1 or 2 each.
        assert all(away // 3 <= count <= -(-away // 3) for count in others)
        assert abs(sum(others) - away) <= 1
        assert experience.test_y.unique().tolist() == [main]


def test_blurry_depends_on_its_seed_only(data):
    first, same, other = (blurry(data, 2, seed=seed) for seed in (0, 0, 1))
    for a, b in zip(first, same, strict=True):
        assert torch.equal(a.train.indices, b.train.indices)
    assert any(
        a.train.indices.tolist() != b.train.indices.tolist()
        for a, b in zip(first, other, strict=True)
    )


def test_blurry_wants_two_experiences_and_a_fraction(data):
    with pytest.raises(ArgumentError, match="needs two"):
        blurry(data, 4)
    for wrong in (-0.1, 1.5, float("nan"), True, "a"):
        with pytest.raises(ArgumentError, match="minority"):
            blurry(data, 2, minority=wrong)
