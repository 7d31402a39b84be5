"""Which method wins against plain training, in plain sentences."""

from __future__ import annotations

from benchmarks.generative.comparison import Comparison, Contest, Verdict, name_of, verdict
from benchmarks.generative.printing import digits_of, error_text
from benchmarks.generative.record import PLAIN
from benchmarks.reporting.table import SEEDS_FOR_A_WINNER
from benchmarks.reporting.words import duration

WORDS: dict[Verdict, str] = {
    "ahead": "ahead",
    "behind": "behind",
    "level": "no difference beyond one standard error",
    "open": "not to be told, for fewer than two seeds got there",
}
"""What is said of the methods that are ahead, and so on, in this order."""


def verdicts(comparison: Comparison) -> list[str]:
    """Which methods win with a batch size, a sentence for each place and reference.

    Args:
        comparison: Of one batch size.
    """
    leads = [
        found
        for contest in (comparison.steps, comparison.time)
        for standing in contest.standings
        for found in standing.leads
    ]
    if all(verdict(found) == "open" for found in leads):
        return [f"Batch {comparison.batch_size}: nothing can be told with fewer than two seeds."]
    sentences = []
    for contest in (comparison.steps, comparison.time):
        for number, reference in enumerate(contest.references):
            sentence = _verdict(contest, number, reference)
            if sentence is not None:
                sentences.append(sentence)
    return sentences


def place_of(contest: Contest) -> str:
    """At what methods are compared, for example `equal steps (10,000)`."""
    if contest.clock == "steps":
        return f"equal steps ({contest.at.mean:,.0f})"
    clock = "processor time" if contest.clock == "cpu_seconds" else "wall clock"
    return f"equal time ({duration(contest.at.mean)} of {clock})"


def _verdict(contest: Contest, number: int, reference: int) -> str | None:
    """The sentence on one reference; None where nothing stands beside it."""
    digits = digits_of([standing.value for standing in contest.standings], contest.measure)
    unit = " points" if contest.measure.percent else ""
    names: dict[Verdict, list[str]] = {}
    for standing in contest.standings:
        # Of plain training with the one batch and with the other one comparison says enough.
        if standing.method == PLAIN and (number > 0 or standing.batch_size == reference):
            continue
        found = standing.leads[number]
        kind = verdict(found)
        text = name_of(standing, contest.batch_size)
        if found is not None and kind in ("ahead", "behind"):
            text += f" by {error_text(found, contest.measure, digits, sign=False)}{unit}"
        names.setdefault(kind, []).append(unbroken(text))
    if not names:
        return None
    if set(names) == {"level"}:
        said = f"{WORDS['level']} for any method"
    else:
        said = "; ".join(
            f"{words}: {', '.join(names[kind])}" for kind, words in WORDS.items() if kind in names
        )
    fewest = min(standing.seeds for standing in contest.standings)
    if fewest < SEEDS_FOR_A_WINNER and not {"ahead", "behind"}.isdisjoint(names):
        said += f"; with fewer than {SEEDS_FOR_A_WINNER} seeds each that is a hint at most"
    return (
        f"Batch {contest.batch_size}, {place_of(contest)}, against plain with batch {reference}: "
        f"{said}."
    )


def unbroken(text: str) -> str:
    """Text in which no line break parts a number from its deviation."""
    return text.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")
