"""Drawing means: ticks, scales, labels that don't overlap."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.reporting.svg import (
    CHARACTER,
    Box,
    Scale,
    element,
    log_ticks,
    nice_ticks,
    place_labels,
    spread_apart,
)


def test_text_and_attributes_are_escaped():
    made = element("text", "<b>&", title='"quoted"', x=1.5, y=2.0, class_="a", hidden=None)
    assert made == ('<text title="&#34;quoted&#34;" x="1.5" y="2" class="a">&lt;b&gt;&amp;</text>')


def test_scales_map_their_ends():
    scale = Scale(0, 100, 300, 20)
    assert (scale(0), scale(100), scale(50)) == (300, 20, 160)
    logarithmic = Scale(0.01, 100, 0, 400, logarithmic=True)
    assert [round(logarithmic(v)) for v in (0.01, 1, 100)] == [0, 200, 400]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.floats(-1e3, 1e3), st.floats(0, 1e3), st.integers(2, 8))
def test_nice_ticks_span_the_range(low, span, count):
    ticks = nice_ticks(low, low + span, count)
    assert 2 <= len(ticks) <= 3 * count
    assert ticks == sorted(set(ticks))
    room = 1e-6 * max(abs(low), span, 1)
    assert ticks[0] <= low + room
    assert ticks[-1] >= low + span - room


@pytest.mark.parametrize(("low", "high"), [(0.004, 0.31), (0.5, 0.5), (1e-5, 3e4), (2, 7)])
def test_log_ticks_span_the_range(low, high):
    ticks = log_ticks(low, high)
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert 2 <= len(ticks) <= 12


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.floats(0, 300), min_size=1, max_size=15))
def test_labels_keep_their_distance_and_order(positions):
    moved = spread_apart(positions, 16, 0, 300)
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    for before, after in itertools.pairwise(order):
        assert moved[after] - moved[before] >= 16 - 1e-6
    assert min(moved) >= -1e-6
    assert max(moved) <= 300 + 1e-6


def test_labels_that_have_room_do_not_move():
    assert spread_apart([250.0, 30.0, 100.0], 16, 0, 300) == [250.0, 30.0, 100.0]


def test_placed_labels_overlap_nothing():
    points = [(100.0 + 9 * i, 100.0 + 5 * (i % 3)) for i in range(12)]
    texts = [f"method-{i}" for i in range(12)]
    frame = Box(0, 0, 400, 200)
    boxes = []
    for text, place in zip(texts, place_labels(points, texts, frame), strict=True):
        if place is not None:
            x, y, anchor = place
            width = len(text) * CHARACTER
            left = x - {"start": 0, "middle": width / 2, "end": width}[anchor]
            boxes.append(Box(left, y - 11, left + width, y + 3))
    assert len(boxes) >= 3
    assert all(box.within(frame) for box in boxes)
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
