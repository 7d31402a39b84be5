"""Measures in print: as many digits as they deserve, shares in percent."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable

from benchmarks.generative.record import Measure
from benchmarks.reporting.aggregate import Spread

PERCENT = 100.0

FIGURES = 4
"""Digits of a typical value of a measure."""


def scale_of(measure: Measure) -> float:
    """What values are multiplied with in print."""
    return PERCENT if measure.percent else 1.0


def title_of(measure: Measure) -> str:
    """Head of a column: what is measured, and which way is better."""
    arrow = "\N{UPWARDS ARROW}" if measure.higher_is_better else "\N{DOWNWARDS ARROW}"
    return f"{measure.title}{' %' if measure.percent else ''} {arrow}"


def digits_of(values: Iterable[Spread | None], measure: Measure) -> int:
    """Digits after the point of a column.

    Args:
        values: What stands in the column.
        measure: What it is.

    Returns:
        One for percent; else so many that a typical value has four figures, at least one and at
        most six after the point.
    """
    if measure.percent:
        return 1
    sizes = [abs(value.mean) for value in values if value is not None and value.mean]
    if not sizes:
        return 1
    return min(max(FIGURES - 1 - math.floor(math.log10(statistics.median(sizes))), 1), 6)


def value_text(value: Spread, measure: Measure, digits: int) -> str:
    """A measure with its standard deviation."""
    return value.text(scale=scale_of(measure), digits=digits)


def error_text(lead: Spread, measure: Measure, digits: int, *, sign: bool = True) -> str:
    """A lead with its standard error.

    Args:
        lead: The differences, seed by seed.
        measure: What it is of.
        digits: After the point.
        sign: Whether a plus stands before what is positive; else the size alone is given.
    """
    scale = scale_of(measure)
    mean = lead.mean * scale if sign else abs(lead.mean * scale)
    text = f"{mean:{'+' if sign else ''}.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text if lead.error is None else f"{text} ± {lead.error * scale:.{digits}f}"
