"""What choosing gives against plain training, as a table: at equal steps and at equal time."""

from __future__ import annotations

from benchmarks.generative.comparison import TOLERANCE, Comparison, Contest, name_of
from benchmarks.generative.printing import digits_of, error_text, value_text
from benchmarks.generative.record import Measure
from benchmarks.generative.verdicts import place_of
from benchmarks.reporting.aggregate import Spread
from benchmarks.reporting.rows import NOTHING

COMPARISON_NOTE = (
    "Values are means ± sample standard deviations over seeds. Leads are differences seed by seed, "
    "± the standard error of their mean; above zero the method is better, whichever way the "
    "measure goes. Beyond one standard error is a hint and no proof: of methods that are no better "
    "one in six or more gets there by chance. Equal time is when plain training with that batch "
    "size and the same seed ended; a run is read between its points, and at its end where it ended "
    f"up to {TOLERANCE * 100:g} % earlier; {NOTHING} where it never got that far."
)
"""What a reader has to know about a comparison."""


def comparison_columns(comparison: Comparison) -> list[str]:
    """Heads of the table of a comparison."""
    heads = ["method"]
    for contest in (comparison.steps, comparison.time):
        heads.append(f"at {place_of(contest)}")
        heads += [f"lead over plain (batch {size})" for size in contest.references]
    return [*heads, "seeds"]


def comparison_rows(comparison: Comparison) -> list[list[str]]:
    """The lines of that table: plain training, the methods, plain training with twice as much."""
    lines = []
    for beside in zip(comparison.steps.standings, comparison.time.standings, strict=True):
        line = [name_of(beside[0], comparison.batch_size)]
        for contest, standing in zip((comparison.steps, comparison.time), beside, strict=True):
            digits = contest_digits(contest)
            line.append(_some(standing.value, standing.seeds, contest.measure, digits))
            line += [
                NOTHING if found is None else error_text(found, contest.measure, digits)
                for found in standing.leads
            ]
        lines.append([*line, str(beside[0].seeds)])
    return lines


def contest_digits(contest: Contest) -> int:
    """Digits after the point in a contest's columns."""
    return digits_of([standing.value for standing in contest.standings], contest.measure)


def _some(value: Spread | None, seeds: int, measure: Measure, digits: int) -> str:
    """A value, with how many seeds got there where not all did."""
    if value is None:
        return NOTHING
    some = "" if value.n == seeds else f" ({value.n} of {seeds})"
    return f"{value_text(value, measure, digits)}{some}"
