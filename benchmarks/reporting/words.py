"""The sentences and figures at the top of a page."""

from __future__ import annotations

from benchmarks.reporting.gather import Entry, Gathered, Group
from benchmarks.reporting.table import SEEDS_FOR_A_WINNER, best_of


def headline(gathered: Gathered) -> list[str]:
    """What the run shows, in two or three sentences.

    A best method is named as such only where the table may mark one.

    Args:
        gathered: The page's material.

    Returns:
        Sentences.
    """
    groups = [group for group in gathered.groups if group.methods]
    if not groups:
        return ["No method with a memory was run."]
    sentences = [_group_sentence(group) for group in groups]
    references = {entry.style.name: entry for group in groups for entry in group.references}
    sentences += _references_sentence(list(references.values()))
    fewest = min(len(entry.summary.seeds) for group in gathered.groups for entry in group.entries)
    if fewest < SEEDS_FOR_A_WINNER:
        count = f"{fewest} seed{'' if fewest == 1 else 's'}"
        sentences.append(
            f"With {count} a method this is an impression: differences within the standard "
            "deviations are ties."
        )
    return sentences


def _group_sentence(group: Group) -> str:
    first = group.methods[0]
    size = first.summary.memory_size
    accuracy = _percent(first)
    exemplars = f"With {size:,} exemplars" if size else "Without a memory"
    # Between runs nothing is called best: their settings may differ.
    one_run = len({entry.source.label for entry in group.methods}) == 1
    marked = best_of([entry.summary for entry in group.methods]) if one_run else set()
    if len(marked) == 1:
        return f"{exemplars}, {first.style.name} ends best, at {accuracy}."
    if marked:
        others = f"{len(marked) - 1} other{'s' if len(marked) > 2 else ''}"
        return (
            f"{exemplars}, {first.style.name} ends highest, at {accuracy}, not to be told from "
            f"{others}."
        )
    if len(group.methods) > 1:
        return f"{exemplars}, {first.style.name} has the highest mean, {accuracy}."
    return f"{exemplars}, {first.style.name} ends at {accuracy}."


def _references_sentence(references: list[Entry]) -> list[str]:
    """Where naive and joint training end; no sentence where neither was run."""
    ordered = sorted(references, key=lambda entry: entry.summary.final_accuracy.mean)
    parts = [f"{entry.style.name} at {_percent(entry)}" for entry in ordered]
    return [f"For reference, {' and '.join(parts)}."] if parts else []


def _percent(entry: Entry) -> str:
    """Final accuracy, which a line break must not part from its deviation."""
    text = entry.summary.final_accuracy.text(scale=100)
    return f"{text} %".replace(" ", "\N{NO-BREAK SPACE}")


def duration(seconds: float) -> str:
    """Seconds in words: 48 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def tiles(gathered: Gathered) -> list[tuple[str, str]]:
    """Figures beside the headline.

    Args:
        gathered: The page's material.

    Returns:
        (figure, what it counts) pairs.
    """
    runs = [run for source in gathered.sources for run in source.results.runs]
    methods = {run.method for run in runs}
    seeds = {run.seed for run in runs}
    sizes = sorted({run.memory_size for run in runs} - {0})
    experiences = sorted({len(run.accuracy_matrix[0]) for run in runs})
    total = sum(run.seconds.train + run.seconds.select + run.seconds.evaluate for run in runs)
    made = [
        (str(len(methods)), "methods" if len(methods) > 1 else "method"),
        (str(len(seeds)), "seeds" if len(seeds) > 1 else "seed"),
        (" / ".join(map(str, experiences)), "experiences"),
    ]
    if sizes:
        made.append((" / ".join(f"{size:,}" for size in sizes), "exemplars"))
    made.append((duration(total), "of computing"))
    return made
