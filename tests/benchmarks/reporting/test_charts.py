"""Charts: what leaves the frame, what shares a look, what is drawn."""

from __future__ import annotations

import re

import pytest

from benchmarks.reporting.aggregate import Spread
from benchmarks.reporting.charts import Curve, Dot, Style
from benchmarks.reporting.cost_chart import cost_chart
from benchmarks.reporting.curve_chart import curve_bounds, curve_chart, until_bottom
from benchmarks.reporting.heat import composition_chart, matrix_chart


def curve(name, index, *means, std=0.01):
    return Curve(Style(name, index), [Spread(mean, std, 3) for mean in means])


HIGH = curve("a", 0, 1.0, 0.9, 0.85)
NAIVE = curve("naive", None, 1.0, 0.5, 0.2)
JOINT = curve("joint", None, 0.96)


def test_naive_leaves_the_chart_where_it_would_squeeze_the_methods():
    low, high = curve_bounds([HIGH, NAIVE, JOINT])
    assert low == pytest.approx(84)
    assert high == pytest.approx(100)
    drawn = str(curve_chart([HIGH, NAIVE, JOINT], width=940, height=440, label_ends=True))
    assert "naive ↓ 20.0 %" in drawn
    ticks = [float(tick) for tick in re.findall(r">([\d.]+) %<", drawn)]
    assert min(ticks) >= 75


def test_naive_stays_where_the_methods_have_room():
    low = curve("a", 0, 1.0, 0.7, 0.4)
    assert curve_bounds([low, NAIVE])[0] == pytest.approx(19)
    assert "↓" not in curve_chart([low, NAIVE], width=940, height=440, label_ends=True)


def test_references_alone_are_shown_whole():
    assert curve_bounds([NAIVE, JOINT])[0] == pytest.approx(19)


def test_a_line_is_cut_where_it_crosses_the_edge():
    line = [(0.0, 0.0), (10.0, 50.0), (20.0, 150.0), (30.0, 20.0)]
    assert until_bottom(line, 100) == [(0.0, 0.0), (10.0, 50.0), (15.0, 100)]
    assert until_bottom(line, 200) == line


def test_no_two_of_many_methods_look_the_same():
    looks = {
        (style.colour, style.dash, re.sub(r'c?[xy]="[^"]*"', "", str(style.mark(0, 0))))
        for style in (Style(f"m{i}", i) for i in range(24))
    }
    assert len(looks) == 24


@pytest.mark.parametrize("label", [True, False])
def test_costs_of_nothing_get_a_lane(label):
    dots = [Dot(Style("a", 0), 0.0, Spread(0.5, None, 1)), Dot(Style("b", 1), 0.2, HIGH.points[0])]
    drawn = str(cost_chart(dots, width=600, height=300, label_dots=label))
    assert "lane" in drawn
    assert drawn.count('class="mark"') == 2
    assert "lane" not in str(cost_chart(dots[1:], width=600, height=300, label_dots=label))
    assert "mark" in str(cost_chart(dots[:1], width=600, height=300, label_dots=label))


def test_large_matrices_drop_their_numbers_but_keep_their_tooltips():
    small = str(matrix_chart([[0.5] * 5] * 5, "m"))
    large = str(matrix_chart([[0.5] * 20] * 20, "m"))
    assert small.count(">50<") == 25
    assert ">50<" not in large
    assert large.count("<title>") == 400


def test_compositions_of_many_classes_stay_compact():
    counts = [{str(label): 3 for label in range(100)}] * 4
    drawn = composition_chart(counts, {str(label): f"class {label}" for label in range(100)}, "m")
    assert int(re.search(r'height="(\d+)"', str(drawn))[1]) > 900
    assert ">300<" in drawn
    assert ">class 10<" in drawn
    assert ">class 11<" not in drawn
