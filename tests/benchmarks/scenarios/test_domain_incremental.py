"""Permuted and rotated: the same images, seen in another way in each experience."""

import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import rotate

from benchmarks.scenarios import permuted, rotated
from clcore.errors import ArgumentError


def test_permutation_is_the_same_for_all_images_channels_and_parts(data):
    marked = torch.arange(36, dtype=torch.uint8).view(1, 1, 6, 6).expand(8, 2, 6, 6)
    for experience in permuted(data, 3):
        transform = experience.train.transform
        assert experience.test.transform is transform
        moved = transform(marked.clone(), torch.arange(8))
        assert torch.equal(moved, moved[:1, :1].expand_as(moved))
        assert sorted(moved[0, 0].flatten().tolist()) == list(range(36))
        order = transform.order
        for source, x, rows in (
            (data.train_x, experience.train_x, experience.train.indices),
            (data.test_x, experience.test_x, experience.test.indices),
        ):
            expected = source[rows].flatten(2)[:, :, order].view_as(x)
            assert torch.equal(x, expected)
        assert torch.equal(experience.train_y, data.train_y)
        assert experience.classes_here == (0, 1, 2, 3)


def test_permutations_differ_by_experience_and_by_seed(data):
    def orders(seed):
        return [tuple(e.train.transform.order.tolist()) for e in permuted(data, 4, seed=seed)]

    assert len(set(orders(0))) == 4
    assert orders(0) == orders(0)
    assert not set(orders(0)) & set(orders(1))


def test_the_first_may_be_left_as_it_is(data):
    plain = permuted(data, 3, first_as_is=True)
    assert torch.equal(plain.experiences[0].train_x, data.train_x)
    other = permuted(data, 3)
    for a, b in zip(plain.experiences[1:], other.experiences[1:], strict=True):
        assert torch.equal(a.train_x, b.train_x)


def test_ten_copies_take_the_memory_of_one(data):
    for scenario in (permuted(data, 10), rotated(data, 10)):
        sources = {e.train.source.data_ptr() for e in scenario}
        assert sources == {data.train_x.data_ptr()}
        # Test images are used again and again: built once. Training images are not kept.
        experience = scenario.experiences[1]
        assert experience.test_x is experience.test_x
        assert experience.train_x is not experience.train_x


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("angle", [0, 9, 45, 90, 135, 180, -30, 360])
def test_rotation_is_that_of_torchvision(data, angle, interpolation):
    (experience,) = rotated(data, 1, angles=[angle], interpolation=interpolation)
    expected = rotate(data.train_x, angle, InterpolationMode(interpolation))
    difference = (experience.train_x.int() - expected.int()).abs()
    # torchvision truncates what we round.
    assert difference.max() <= 1
    assert torch.equal(experience.test.transform(data.test_x.clone(), None), experience.test_x)


def test_bicubic_stays_in_range_and_oblong_images_keep_their_shape(data):
    from benchmarks.scenarios.rotated import Rotation

    (experience,) = rotated(data, 1, angles=[20], interpolation="bicubic")
    assert experience.train_x.dtype == torch.uint8
    oblong = torch.randint(0, 256, (3, 1, 4, 8), dtype=torch.uint8)
    turned = Rotation(30.0)(oblong, torch.arange(3))
    assert (turned.int() - rotate(oblong, 30, InterpolationMode.BILINEAR).int()).abs().max() <= 1


def test_angles_are_even_random_or_given(data):
    def angles(**arguments):
        return [e.train.transform.angle for e in rotated(data, **arguments)]

    assert angles(experiences=20) == [9.0 * step for step in range(20)]
    assert angles(experiences=2, angles=[10, 20]) == [10.0, 20.0]
    drawn = angles(experiences=5, angles="random", seed=1)
    assert drawn == angles(experiences=5, angles="random", seed=1)
    assert drawn != angles(experiences=5, angles="random", seed=2)
    assert all(0 <= angle < 180 for angle in drawn)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (permuted, {"experiences": 0}, "experiences must be a whole number of at least 1"),
        (rotated, {"experiences": 0}, "experiences must be a whole number of at least 1"),
        (rotated, {"angles": "odd"}, "'even', 'random'"),
        (rotated, {"experiences": 2, "angles": [1, 2, 3]}, "wanted 2 finite numbers"),
        (rotated, {"experiences": 1, "angles": [float("nan")]}, "wanted 1 finite number"),
        (rotated, {"interpolation": "cubic"}, "'bicubic'"),
        (permuted, {"seed": 1.5}, "seed must be a whole number"),
    ],
)
def test_wrong_arguments_are_refused(data, function, arguments, message):
    with pytest.raises(ArgumentError, match=message):
        function(data, **arguments)
