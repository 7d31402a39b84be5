"""Options that change from seed to seed, and what training images go through."""

from dataclasses import replace

import pytest
import torch
from torchvision.transforms import v2

from benchmarks import suites
from benchmarks.running.data import (
    augmented_transform,
    build_scenario,
    check_scenario,
    input_transform,
)
from clcore.errors import ArgumentError


def turning(values):
    """Split digits whose dominant experience depends on the seed."""
    return replace(
        suites.find("split-digits"),
        scenario={"split": {}, "imbalanced": {"dominant": values, "ratio": 0.1}},
    )


def test_an_option_by_seed_takes_its_values_in_turn():
    suite = turning({"by_seed": [0, 3, 1]})
    check_scenario(suite)
    for seed, dominant in enumerate((0, 3, 1, 0, 3)):
        sizes = [len(experience) for experience in build_scenario(suite, seed)]
        assert sizes.index(max(sizes)) == dominant
        assert (
            build_scenario(turning(dominant), seed)
            .experiences[0]
            .train.indices.equal(build_scenario(suite, seed).experiences[0].train.indices)
        )


@pytest.mark.parametrize(
    "value", [{"by_seed": []}, {"by_seed": 3}, {"by_seed": None}, {"seed": [1]}, {},
              {"by_seed": [1], "else": 2}],
)  # fmt: skip
def test_other_mappings_are_refused(value):
    for used in (check_scenario, lambda suite: build_scenario(suite, 0)):
        with pytest.raises(ArgumentError, match=r'scenario\.imbalanced\.dominant: .*"by_seed"'):
            used(turning(value))


@pytest.fixture
def scenario():
    return build_scenario(suites.find("split-digits"), 0)


def transforms(scenario, augmentation, **changes):
    suite = replace(suites.find("split-digits"), augmentation=augmentation, **changes)
    plain = input_transform(suite, scenario)
    return plain, augmented_transform(suite, scenario, plain)


def test_no_augmentation_is_the_same_transform(scenario):
    plain, training = transforms(scenario, "none")
    assert training is plain


def test_crops_move_an_image_by_up_to_four_pixels(scenario):
    plain, training = transforms(scenario, "crop")
    image = torch.zeros(1, 8, 8, dtype=torch.uint8)
    image[0, 4, 4] = 255
    assert int(plain(image).argmax()) == 4 * 8 + 4
    torch.manual_seed(0)
    places = set()
    for _ in range(1000):
        made = training(image)
        assert made.shape == (1, 8, 8)
        assert made.dtype == torch.float32
        assert float(made.sum()) in (0.0, 1.0)
        if made.any():
            places.add(divmod(int(made.argmax()), 8))
    # The image may move by 4 in all directions; row and column 8 would be outside.
    assert places == {(row, column) for row in range(8) for column in range(8)}


def test_mirroring_is_after_the_crop_and_half_of_the_time(scenario):
    _, training = transforms(scenario, "crop-flip")
    crop, flip, last = training.transforms
    assert (type(crop), type(flip)) == (v2.RandomCrop, v2.RandomHorizontalFlip)
    assert (tuple(crop.size), crop.padding, flip.p) == ((8, 8), [4] * 4, 0.5)
    assert torch.equal(last(torch.ones(1, 8, 8)), torch.ones(1, 8, 8))


def test_augmented_images_are_normalised_as_others_are(scenario):
    plain, training = transforms(scenario, "crop", normalise="dataset")
    black = torch.zeros(1, 8, 8, dtype=torch.uint8)
    assert torch.equal(training(black), plain(black))
    assert float(plain(black)[0, 0, 0]) == pytest.approx(-scenario.mean[0] / scenario.std[0])
