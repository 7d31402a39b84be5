"""Which method wins against plain training, in plain sentences."""

from __future__ import annotations

from benchmarks.generative.comparison import Comparison, Contest, name_of, verdict
from benchmarks.generative.printing import digits_of, error_text
from benchmarks.generative.record import PLAIN
from benchmarks.reporting.words import duration

LEVEL = "no difference beyond one standard error"


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
    sorted_out: dict[str, list[str]] = {"ahead": [], "level": [], "behind": [], "open": []}
    for standing in contest.standings:
        if standing.method == PLAIN and standing.batch_size == reference:
            continue
        # Plain training with the smaller batch says nothing new beside the larger one.
        if number > 0 and standing.method == PLAIN:
            continue
        found = standing.leads[number]
        kind = verdict(found)
        text = name_of(standing, contest.batch_size)
        if found is not None and kind in ("ahead", "behind"):
            text += f" by {error_text(found, contest.measure, digits, sign=False)}{unit}"
        sorted_out[kind].append(text)
    if not any(sorted_out.values()):
        return None
    parts = []
    for kind, words in (("ahead", "ahead"), ("behind", "behind"), ("level", LEVEL)):
        if sorted_out[kind]:
            alone = kind == "level" and not (sorted_out["ahead"] or sorted_out["behind"])
            only = alone and not sorted_out["open"]
            names = ", ".join(sorted_out[kind])
            parts.append(f"{words} for any method" if only else f"{words}: {names}")
    if sorted_out["open"]:
        parts.append(f"not to be told, for fewer than two seeds got there: "
                     f"{', '.join(sorted_out['open'])}")  # fmt: skip
    text = "; ".join(parts)
    return (
        f"Batch {contest.batch_size}, {place_of(contest)}, against plain with batch {reference}: "
        f"{text}."
    )
