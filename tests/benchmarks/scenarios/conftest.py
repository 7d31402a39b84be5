"""A small data set for the scenarios: 4 classes, 2-channel images whose first value is the row."""

import pytest
import torch

from benchmarks.datasets import Arrays, ImageData


@pytest.fixture
def data():
    return make_data()


def make_data(per_class=40, classes=4, test_per_class=5, side=6):
    generator = torch.Generator().manual_seed(7)

    def part(count):
        y = torch.arange(classes).repeat_interleave(count)
        y = y[torch.randperm(len(y), generator=generator)]
        shape = (len(y), 2, side, side)
        x = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        x[:, 0, 0, 0] = torch.arange(len(y)).to(torch.uint8)
        return x, y

    names = tuple("abcdefghij"[:classes])
    return ImageData.of("toy", Arrays(*part(per_class), *part(test_per_class)), names)
