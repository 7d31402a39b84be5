"""What every scenario does: normalise, leave the global random state alone, refuse emptiness."""

import dataclasses

import numpy as np
import pytest
import torch

from benchmarks.datasets import Arrays, ImageData, load
from benchmarks.scenarios import (
    Normalise,
    Scenario,
    blurry,
    imbalanced,
    long_tailed,
    noisy,
    online,
    permuted,
    rotated,
    sampled,
    split,
)
from clcore.errors import ArgumentError


def test_normalise_takes_images_and_batches(data):
    scenario = split(data)
    x = scenario.experiences[0].train_x
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (data.mean, data.std))
    expected = (x.float() / 255 - mean) / std
    result = scenario.normalise(x)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, expected)
    torch.testing.assert_close(scenario.normalise(x[0]), expected[0])
    whole = scenario.normalise(data.train_x).double()
    assert torch.all(whole.mean(dim=(0, 2, 3)).abs() < 1e-6)
    torch.testing.assert_close(
        whole.std(dim=(0, 2, 3), correction=0), torch.ones(2).double(), atol=1e-6, rtol=0
    )


def test_normalisation_can_be_replaced(data):
    plain = dataclasses.replace(split(data), mean=(0.0, 0.0), std=(1.0, 1.0))
    x = data.train_x
    torch.testing.assert_close(plain.normalise(x), x.float() / 255)


def test_a_constant_channel_is_only_shifted():
    image = torch.full((1, 2, 2), 255, dtype=torch.uint8)
    assert Normalise((1.0,), (0.0,))(image).tolist() == [[[0.0, 0.0], [0.0, 0.0]]]


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(3, 2, 6, 6),
        torch.zeros(3, 1, 6, 6, dtype=torch.uint8),
        torch.zeros(6, 6, dtype=torch.uint8),
    ],
)
def test_normalise_refuses_what_is_no_image_of_the_set(data, images):
    with pytest.raises(ArgumentError, match="wanted uint8 of shape"):
        split(data).normalise(images)


def test_the_global_random_state_is_never_touched(data):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    whole = [
        split(data, class_order="shuffled", seed=3),
        blurry(data, seed=3),
        permuted(data, 3, seed=3),
        rotated(data, 3, angles="random", seed=3),
    ]
    made = [
        function(scenario)
        for scenario in whole
        for function in (
            lambda s: sampled(s, 20, seed=3),
            lambda s: imbalanced(s, seed=3),
            lambda s: long_tailed(s, 0.5, class_order="shuffled", seed=3),
            lambda s: noisy(s, labels=0.2, images=0.2, seed=3),
            lambda s: online(s, 16, seed=3),
        )
    ]
    for scenario in [*whole, *made]:
        for experience in scenario:
            _ = experience.train_x, experience.test_x, experience.train_task
        scenario.to_avalanche(True).train_stream[0].dataset[0]
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


def test_emptiness_is_refused(data):
    with pytest.raises(ArgumentError, match="has no experience"):
        Scenario("nothing", (), data.classes, data.mean, data.std)
    gone = data.train_y != 3
    arrays = Arrays(data.train_x[gone], data.train_y[gone], data.test_x, data.test_y)
    partial = ImageData.of("partial", arrays, data.classes)
    with pytest.raises(ArgumentError, match="experience 3 has 0 training"):
        split(partial, 1)


def test_digits_split_in_five():
    scenario = split(load("digits"))
    assert scenario.name == "split digits"
    assert [experience.classes_here for experience in scenario] == [
        (0, 1), (2, 3), (4, 5), (6, 7), (8, 9)
    ]  # fmt: skip
    assert sum(len(experience) for experience in scenario) == 1438
    assert scenario.class_names == tuple("0123456789")
