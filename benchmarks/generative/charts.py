"""Charts of the generative page: a measure over steps or over time."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from benchmarks.generative.comparison import Clock
from benchmarks.generative.gather import Entry
from benchmarks.generative.printing import scale_of
from benchmarks.generative.record import Measure
from benchmarks.reporting.line_chart import Axis, Line, line_charts

TITLES: dict[Clock, str] = {
    "steps": "steps of training",
    "cpu_seconds": "seconds of processor time, training and selection",
    "seconds": "seconds of training and selection",
}

SQUEEZED = 3.0
"""The untrained model is left out where it would stretch the vertical axis by more than this."""

WIDE = 20.0
"""A measure that falls by more than this factor is drawn on a logarithmic scale."""


def measure_charts(entries: Sequence[Entry], measure: Measure, clock: Clock) -> list[Markup]:
    """A measure of all methods, for a desk and for a phone.

    Args:
        entries: Methods and plain training of one batch size.
        measure: What is drawn.
        clock: What it is drawn over.

    Returns:
        Both charts; nothing where no method has the measure.
    """
    scale = scale_of(measure)
    lines = [
        Line(entry.style, [(place, value.scaled(scale)) for place, value in points])
        for entry in entries
        if (points := entry.course(measure.name, clock))
    ]
    if not lines:
        return []
    logarithmic = _falls_far(lines, measure)
    if not logarithmic:
        lines = without_untrained(lines)
    x = Axis(TITLES[clock], "" if clock == "steps" else " s")
    y = Axis(measure.title, " %" if measure.percent else "", logarithmic=logarithmic)
    return line_charts(lines, x, y)


def batch_charts(entries: Sequence[Entry], measure: Measure) -> list[Markup]:
    """A measure at the end against the batch size, for a desk and for a phone.

    Args:
        entries: Methods and plain training of one suite, each with its batch sizes.
        measure: What is drawn.

    Returns:
        Both charts; nothing where there is one batch size only.
    """
    sizes = sorted({entry.summary.batch_size for entry in entries})
    if len(sizes) < 2:
        return []
    lines: dict[str, Line] = {}
    for entry in entries:
        points = [
            (float(other.summary.batch_size), value.scaled(scale_of(measure)))
            for other in entries
            if other.style.name == entry.style.name
            and (value := other.summary.measure(measure.name)) is not None
        ]
        lines.setdefault(entry.style.name, Line(entry.style, points))
    x = Axis("batch size", logarithmic=True, ticks=sizes)
    y = Axis(measure.title, " %" if measure.percent else "")
    return line_charts(list(lines.values()), x, y)


def _falls_far(lines: Sequence[Line], measure: Measure) -> bool:
    values = [value.mean for line in lines for _, value in line.points]
    least = min(values)
    return not measure.higher_is_better and least > 0 and max(values) > WIDE * least


def without_untrained(lines: Sequence[Line]) -> list[Line]:
    """Lines without their first points where these would squeeze the rest.

    Args:
        lines: Each from the untrained model on.

    Returns:
        The lines as they are, or all without their first points.
    """
    everything = [value.mean for line in lines for _, value in line.points]
    later = [value.mean for line in lines for _, value in line.points[1:]]
    if not later:
        return list(lines)
    stretched = (max(everything) - min(everything)) > SQUEEZED * (max(later) - min(later))
    enough = all(len(line.points) > 2 for line in lines)
    if not (stretched and enough):
        return list(lines)
    return [Line(line.style, line.points[1:]) for line in lines]
