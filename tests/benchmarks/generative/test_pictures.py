"""Pictures of samples: the right pixels, the same range throughout a course."""

import numpy as np
import pytest
import torch

from benchmarks.generative.pictures import draw_images, draw_modes, picture_name
from benchmarks.reporting.images import BACKGROUND, read_picture
from clcore.errors import ArgumentError, SignalError

MODES = torch.cartesian_prod(torch.arange(-2.0, 3.0), torch.arange(-2.0, 3.0)) * 2


def test_images_keep_their_range(tmp_path):
    images = torch.zeros(10, 1, 28, 28)
    images[0], images[1], images[2] = -1.0, 1.0, 9.0
    drawn = read_picture(draw_images(images, tmp_path / "grid.png", low=-1.0, high=1.0))
    # Two rows of eight places of 28 pixels, with gaps of two.
    assert drawn.shape == (2 * 30 + 2, 8 * 30 + 2, 3)
    assert drawn[0, 0].tolist() == [BACKGROUND] * 3
    assert [int(drawn[16, 16 + 30 * place, 0]) for place in range(4)] == [0, 255, 255, 128]


def test_modes_and_points_are_where_they_should_be(tmp_path):
    points = MODES[12].repeat(50, 1)
    drawn = read_picture(draw_modes(points, MODES, tmp_path / "modes.png", radius=0.2))
    blue = (drawn[..., 2].astype(int) - drawn[..., 0]) > 80
    rows, columns = np.nonzero(blue)
    assert abs(rows.mean() - drawn.shape[0] / 2) < 2
    assert abs(columns.mean() - drawn.shape[1] / 2) < 2
    again = draw_modes(points, MODES, tmp_path / "again.png", radius=0.2)
    assert again.read_bytes() == (tmp_path / "modes.png").read_bytes()


def test_names_sort_by_steps():
    assert sorted(map(picture_name, (500, 10000, 0))) == list(map(picture_name, (0, 500, 10000)))


def test_what_is_no_picture_is_refused(tmp_path):
    file = tmp_path / "no.png"
    with pytest.raises(ArgumentError, match="low must be below high"):
        draw_images(torch.zeros(1, 1, 4, 4), file, low=1.0, high=1.0)
    with pytest.raises(SignalError, match="row 1"):
        draw_images(torch.tensor([0.0, float("nan")]).reshape(2, 1, 1, 1), file, low=0.0, high=1.0)
    with pytest.raises(ArgumentError, match="points"):
        draw_modes(torch.zeros(3, 3), MODES, file, radius=0.2)
    with pytest.raises(SignalError, match="row 0"):
        draw_modes(torch.full((1, 2), torch.inf), MODES, file, radius=0.2)
    with pytest.raises(ArgumentError, match="radius"):
        draw_modes(torch.zeros(1, 2), MODES, file, radius=0.0)
    assert not file.exists()
