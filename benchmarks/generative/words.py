"""What a generative run shows, in plain sentences, and the figures at the top of its page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.generative.aggregate import GenerativeSummary, aggregate, best, measures_of
from benchmarks.generative.comparison import (
    Comparison,
    Contest,
    Standing,
    Verdict,
    compare,
    verdict,
)
from benchmarks.generative.printing import digits_of, value_text
from benchmarks.generative.record import GenerativeResults
from benchmarks.reporting.aggregate import Spread
from benchmarks.reporting.rows import NOTHING
from benchmarks.reporting.table import SEEDS_FOR_A_WINNER
from benchmarks.reporting.words import duration

if TYPE_CHECKING:
    from benchmarks.generative.gather import Gathered
    from benchmarks.reporting.gather import Source


def headline(gathered: Gathered) -> list[str]:
    """What the run shows, in a few sentences.

    Args:
        gathered: The page's material.
    """
    sentences: list[str] = []
    several = len(gathered.sources) > 1
    for source in gathered.sources:
        summaries = aggregate(source.results.runs)
        comparisons = {one.batch_size: one for one in compare(source.results.runs)}
        for size in sorted({summary.batch_size for summary in summaries}):
            here = [summary for summary in summaries if summary.batch_size == size]
            sentence = _batch_sentence(here, comparisons.get(size))
            sentences.append(f"{source.label}: {sentence}" if several else sentence)
    fewest = min(
        len(summary.seeds)
        for source in gathered.sources
        for summary in aggregate(source.results.runs)
    )
    if fewest < SEEDS_FOR_A_WINNER:
        count = f"{fewest} seed{'' if fewest == 1 else 's'}"
        sentences.append(
            f"With {count} a method this is an impression: differences within the standard "
            "deviations are ties."
        )
    return sentences


def _batch_sentence(summaries: Sequence[GenerativeSummary], comparison: Comparison | None) -> str:
    """How the best method of a batch size stands beside plain training."""
    plain = next((summary for summary in summaries if summary.plain), None)
    first = best(summaries)
    measure = summaries[0].headline
    digits = digits_of([summary.final for summary in summaries], measure)
    title = measure.title[:1].upper() + measure.title[1:]
    start = f"{title}, batch {summaries[0].batch_size}:"

    def ends(summary: GenerativeSummary) -> str:
        text = value_text(summary.final, measure, digits) + (" %" if measure.percent else "")
        return text.replace(" ", "\N{NO-BREAK SPACE}")

    if first is None:
        assert plain is not None
        return f"{start} plain training ends at {ends(plain)}."
    count = sum(not summary.plain for summary in summaries)
    of_several = f"has the best mean of {count} methods," if count > 1 else "ends at"
    sentence = f"{start} {first.method} {of_several} {ends(first)}"
    if plain is not None:
        sentence += f", plain training{'' if count > 1 else ' at'} {ends(plain)}"
    if comparison is None:
        return f"{sentence}."
    said = [
        f"{words} {said_of(standing, contest)}"
        for words, contest in (("at equal steps", comparison.steps),
                               ("at equal time", comparison.time))
        for standing in contest.standings
        if standing.method == first.method
    ]  # fmt: skip
    return f"{sentence}; {'; '.join(said)}."


def said_of(standing: Standing, contest: Contest) -> str:
    """How a method stands beside all references, for example `it is ahead of plain`."""
    words: dict[Verdict, str] = {
        "ahead": "ahead of",
        "behind": "behind",
        "level": "within one standard error of",
        "open": "not comparable with",
    }
    sizes: dict[Verdict, list[str]] = {}
    for reference, found in zip(contest.references, standing.leads, strict=True):
        sizes.setdefault(verdict(found), []).append(f"with batch {reference}")
    parts = [f"{words[kind]} plain {' and '.join(own)}" for kind, own in sizes.items()]
    return f"it is {' and '.join(parts)}"


def tiles(gathered: Gathered) -> list[tuple[str, str]]:
    """Figures beside the headline: (figure, what it counts) pairs.

    Args:
        gathered: The page's material.
    """
    runs = [run for source in gathered.sources for run in source.results.runs]
    methods, seeds = {run.method for run in runs}, {run.seed for run in runs}
    sizes = sorted({run.batch_size for run in runs})
    rows = sorted({run.rows for run in runs})
    steps = sorted({run.course.steps[-1] for run in runs})
    total = sum(run.seconds.train + run.seconds.select + run.seconds.evaluate for run in runs)
    return [
        (str(len(methods)), "methods" if len(methods) > 1 else "method"),
        (str(len(seeds)), "seeds" if len(seeds) > 1 else "seed"),
        (" / ".join(map(str, sizes)), "rows a step"),
        (" / ".join(f"{count:,}" for count in steps), "steps"),
        (" / ".join(f"{count:,}" for count in rows), "training rows"),
        (duration(total), "of computing"),
    ]


def beside_published(source: Source[GenerativeResults]) -> list[list[str]]:
    """Published numbers of a suite with ours: method, batch, measure, published, ours, source.

    Args:
        source: The run folder.
    """
    summaries = aggregate(source.results.runs)
    known = {measure.name: measure for measure in measures_of(source.results.runs)}
    lines = []
    for entry in source.results.settings.get("published") or []:
        measure = known.get(entry["measure"])
        ours: list[Spread] = [
            spread
            for one in summaries
            if (one.method, one.batch_size) == (entry["method"], entry["batch_size"])
            and (spread := one.measure(entry["measure"])) is not None
        ]
        note = f"{entry['source']}; {entry['note']}" if entry.get("note") else entry["source"]
        published, measured = f"{entry['value']:g}", NOTHING
        if measure is not None:
            unit = " %" if measure.percent else ""
            digits = digits_of(ours, measure)
            published = f"{entry['value'] * (100 if measure.percent else 1):g}{unit}"
            measured = ", ".join(f"{value_text(one, measure, digits)}{unit}" for one in ours)
        lines.append(
            [
                entry["method"],
                str(entry["batch_size"]),
                measure.title if measure is not None else entry["measure"],
                published,
                measured or NOTHING,
                note,
            ]
        )
    return lines
