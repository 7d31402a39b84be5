"""Lines with bands: nothing outside of the chart, nothing drawn where nothing can be."""

import re

from markupsafe import Markup

from benchmarks.reporting import Spread
from benchmarks.reporting.charts import Style
from benchmarks.reporting.line_chart import Axis, Line, line_chart


def test_lines_stay_in_the_chart():
    points = [(0.1, Spread(0.5, 0.6, 3)), (10.0, Spread(0.01, 0.5, 3)), (0.0, Spread(9.0, None, 1))]
    chart = line_chart(
        [Line(Style("one", 0), points)],
        Axis("seconds", " s", logarithmic=True),
        Axis("loss", logarithmic=True),
        width=400,
        height=300,
        label_ends=True,
    )
    assert isinstance(chart, Markup)
    numbers = re.findall(r'points="([^"]*)"', chart)
    for pair in " ".join(numbers).split():
        x, y = map(float, pair.split(","))
        assert 0 <= x <= 400
        assert 0 <= y <= 300


def test_nothing_to_draw():
    line = Line(Style("one", 0), [(0.0, Spread(1.0, None, 1))])
    axis = Axis("seconds", logarithmic=True)
    drawn = line_chart([line], axis, Axis("loss"), width=400, height=300, label_ends=False)
    assert drawn == ""
