"""The README's picture is drawn, in colour, for one memory size."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.reporting.images import read_picture
from benchmarks.reporting.picture import picture
from benchmarks.reporting.results import Results
from clcore.errors import ArgumentError


def test_two_panels_with_colours(record, tmp_path):
    out = picture(Results.model_validate(record), tmp_path / "a.png")
    pixels = read_picture(out).astype(int)
    assert pixels.shape == (672, 1680, 3)
    coloured = np.abs(pixels - pixels.mean(axis=2, keepdims=True)).max(axis=2) > 30
    left, right = coloured[:, :840].mean(), coloured[:, 840:].mean()
    assert left > 0.004
    assert right > 0.001


def test_bad_input(record, tmp_path):
    results = Results.model_validate(record)
    with pytest.raises(ArgumentError, match=r"no run has 100, there are \[200\]"):
        picture(results, tmp_path / "a.png", memory_size=100)
    with pytest.raises(ArgumentError, match="no runs to draw"):
        picture(Results.model_validate({**record, "runs": []}), tmp_path / "a.png")
