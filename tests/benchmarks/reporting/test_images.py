"""Exemplar grids, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.reporting.images import (
    BACKGROUND,
    exemplar_grid,
    is_image_batch,
    read_picture,
    to_pictures,
    write_picture,
)
from clcore.errors import ArgumentError, SignalError


def test_uint8_is_taken_as_it_is():
    x = torch.tensor([[[[0, 7], [200, 255]]]], dtype=torch.uint8)
    pictures = to_pictures(x)
    assert pictures.dtype == np.uint8
    assert pictures.shape == (1, 2, 2, 3)
    assert pictures[0, :, :, 1].tolist() == [[0, 7], [200, 255]]


def test_floats_are_stretched_over_the_whole_batch():
    x = torch.tensor([-1.0, 0.0, 1.0, 3.0]).reshape(2, 1, 1, 2)
    assert to_pictures(x)[..., 0].flatten().tolist() == [0, 64, 128, 255]


def test_constant_floats_are_black_not_nan():
    assert not to_pictures(torch.full((2, 3, 4, 4), 0.7)).any()


def test_colours_keep_their_channels():
    x = torch.zeros(1, 3, 1, 1, dtype=torch.uint8)
    x[0, :, 0, 0] = torch.tensor([10, 20, 30])
    assert to_pictures(x)[0, 0, 0].tolist() == [10, 20, 30]


def test_grid_has_a_row_for_each_class_in_order():
    x = torch.arange(1, 7, dtype=torch.uint8).reshape(6, 1, 1, 1).expand(6, 1, 2, 2) * 40
    y = torch.tensor([5, 2, 5, 2, 2, 9])
    grid = exemplar_grid(x, y, min_side=1, gap=1)
    expected = np.full((10, 10), BACKGROUND)
    for row, values in enumerate([[80, 160, 200], [40, 120], [240]]):
        for place, value in enumerate(values):
            expected[1 + 3 * row : 3 + 3 * row, 1 + 3 * place : 3 + 3 * place] = value
    assert np.array_equal(grid[..., 0], expected)


def test_small_images_are_enlarged_by_a_whole_factor():
    x = torch.tensor([[0, 255], [255, 0]], dtype=torch.uint8).reshape(1, 2, 2)
    grid = exemplar_grid(x, torch.tensor([0]), min_side=5, gap=0)[..., 0]
    assert grid.shape == (6, 6)
    assert np.array_equal(grid, np.kron([[0, 255], [255, 0]], np.ones((3, 3))))


def test_columns_bound_the_width():
    grid = exemplar_grid(torch.rand(50, 1, 28, 28), torch.zeros(50, dtype=torch.int64), columns=4)
    assert grid.shape == (32, 122, 3)


def test_files_hold_the_same_pixels(tmp_path):
    grid = exemplar_grid(torch.rand(9, 3, 8, 8), torch.arange(9) % 3)
    assert np.array_equal(read_picture(write_picture(grid, tmp_path / "a.png")), grid)


@pytest.mark.parametrize(
    "x",
    [torch.zeros(3, 5), torch.zeros(3, 2, 4, 4), torch.zeros(3, 1, 4, 4, dtype=torch.int64)],
)
def test_what_is_no_image_is_refused(x):
    assert not is_image_batch(x)
    with pytest.raises(ArgumentError, match="are no images"):
        to_pictures(x)


def test_nan_names_the_image():
    x = torch.zeros(3, 1, 2, 2)
    x[1, 0, 1, 1] = float("nan")
    with pytest.raises(SignalError, match="row 1 holds NaN"):
        exemplar_grid(x, torch.zeros(3))


def test_wrong_lengths_and_sizes_are_refused(tmp_path):
    x = torch.zeros(2, 1, 4, 4)
    with pytest.raises(ArgumentError, match="one label an image, got 2 and 3"):
        exemplar_grid(x, torch.zeros(3))
    with pytest.raises(ArgumentError, match="got 0 and 0"):
        exemplar_grid(x[:0], torch.zeros(0))
    with pytest.raises(ArgumentError, match="columns"):
        exemplar_grid(x, torch.zeros(2), columns=0)
    with pytest.raises(ArgumentError, match="needs uint8"):
        write_picture(np.zeros((4, 4, 3)), tmp_path / "a.png")
