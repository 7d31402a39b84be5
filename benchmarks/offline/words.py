"""The sentences and figures at the top of the page of offline runs."""

from __future__ import annotations

from benchmarks.offline.aggregate import OfflineSummary, aggregate
from benchmarks.offline.gather import Gathered, Group
from benchmarks.offline.record import OfflineResults
from benchmarks.offline.table import lead_of, random_beside
from benchmarks.reporting.gather import Source
from benchmarks.reporting.rows import NOTHING
from benchmarks.reporting.table import SEEDS_FOR_A_WINNER
from benchmarks.reporting.words import duration

MOST_SENTENCES = 4
"""With more groups than this the headline names the smallest and the largest fraction only."""


def headline(gathered: Gathered) -> list[str]:
    """What the run shows, in a few sentences.

    Args:
        gathered: The page's material.
    """
    groups = [group for group in gathered.groups if group.methods]
    shown = groups if len(groups) <= MOST_SENTENCES else [groups[0], groups[-1]]
    several = len({group.methods[0].summary.optimizer for group in groups}) > 1
    sentences = [_group_sentence(group, several) for group in shown]
    for title, entries in gathered.by_optimizer:
        full = [entry.summary for entry in entries if entry.summary.reference]
        if full:
            prefix = f"{title}: all" if title else "All"
            sentences.append(
                f"{prefix} rows give {_percent(full[0])} in {duration(full[0].seconds.mean)}."
            )
    if not groups:
        return sentences or ["Nothing was run."]
    fewest = min(len(entry.summary.seeds) for group in groups for entry in group.methods)
    if fewest < SEEDS_FOR_A_WINNER:
        count = f"{fewest} seed{'' if fewest == 1 else 's'}"
        sentences.append(
            f"With {count} a method this is an impression: differences within the standard "
            "deviations are ties."
        )
    return sentences


def _group_sentence(group: Group, name_optimizer: bool) -> str:
    summaries = [entry.summary for entry in group.methods]
    share = f"On {summaries[0].fraction * 100:g}\N{NO-BREAK SPACE}% of the rows"
    if name_optimizer:
        share += f", by {summaries[0].optimizer}"
    selectors = [summary for summary in summaries if not summary.baseline]
    if not selectors:
        return f"{share}, {summaries[0].method} gives {_percent(summaries[0])}."
    best = selectors[0]
    sentence = f"{share}, {best.method} has the highest mean of the selectors, {_percent(best)}"
    baseline = random_beside(best, summaries)
    if baseline is not None:
        ahead = lead_of(best, baseline).mean * 100
        where = "ahead of" if ahead >= 0 else "behind"
        sentence += f", {abs(ahead):.1f} points {where} {baseline.method}"
    sooner = [summary for summary in selectors if summary.speedup is not None]
    if sooner:
        fastest = max(sooner, key=lambda summary: summary.speedup.mean if summary.speedup else 0)
        assert fastest.speedup is not None
        sentence += (
            f"; {fastest.method} gets to the loss of full training in "
            f"{1 / fastest.speedup.mean:.2f} of its time"
        )
    elif group.references:
        sentence += "; none gets to the loss of full training"
    return f"{sentence}."


def _percent(summary: OfflineSummary) -> str:
    """Final accuracy, which a line break must not part from its deviation."""
    text = summary.final_accuracy.text(scale=100)
    return f"{text} %".replace(" ", "\N{NO-BREAK SPACE}")


def tiles(gathered: Gathered) -> list[tuple[str, str]]:
    """Figures beside the headline: (figure, what it counts) pairs.

    Args:
        gathered: The page's material.
    """
    runs = [run for source in gathered.sources for run in source.results.runs]
    methods, seeds = {run.method for run in runs}, {run.seed for run in runs}
    fractions = sorted({run.fraction for run in runs if run.selections})
    optimizers = sorted({run.optimizer for run in runs})
    rows = sorted({run.rows for run in runs})
    total = sum(run.seconds.train + run.seconds.select + run.seconds.evaluate for run in runs)
    made = [
        (str(len(methods)), "methods" if len(methods) > 1 else "method"),
        (str(len(seeds)), "seeds" if len(seeds) > 1 else "seed"),
        (" / ".join(f"{count:,}" for count in rows), "training rows"),
    ]
    if fractions:
        made.append((" / ".join(f"{share * 100:g}" for share in fractions), "% chosen"))
    if len(optimizers) > 1:
        made.append((" / ".join(optimizers), "optimisers"))
    made.append((duration(total), "of computing"))
    return made


def beside_published(source: Source[OfflineResults]) -> list[list[str]]:
    """Published numbers of a suite with ours: method, rows, what, published, ours, source.

    Args:
        source: The run folder.
    """
    recorded = source.results.settings.get("published") or []
    summaries = aggregate(source.results.runs)
    lines = []
    for entry in recorded:
        measure, optimizer = entry["measure"], entry.get("optimizer") or ""
        ours = [
            one
            for one in summaries
            if one.method == entry["method"]
            and one.fraction == entry["fraction"]
            and optimizer in ("", one.optimizer)
        ]
        percent = measure == "final_accuracy"
        scale, unit = (100, " %") if percent else (1, "×")
        measured = [
            f"{spread.text(scale=scale, digits=1 if percent else 2)}{unit}"
            for one in ours
            if (spread := getattr(one, measure)) is not None
        ]
        note = f"{entry['source']}; {entry['note']}" if entry.get("note") else entry["source"]
        lines.append(
            [
                f"{entry['method']} {optimizer}".strip(),
                f"{entry['fraction'] * 100:g} %",
                {"final_accuracy": "final accuracy", "speedup": "speed-up to equal loss"}[measure],
                f"{entry['value'] * scale:g}{unit}",
                ", ".join(measured) or NOTHING,
                note,
            ]
        )
    return lines
