"""The page of generative runs: `report.html`, self-contained as that of every kind of suite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.generative import table
from benchmarks.generative.aggregate import measures_of
from benchmarks.generative.charts import batch_charts, measure_charts
from benchmarks.generative.comparison import compare
from benchmarks.generative.comparison_table import (
    COMPARISON_NOTE,
    comparison_columns,
    comparison_rows,
)
from benchmarks.generative.gather import (
    Entry,
    Gathered,
    Group,
    development,
    gather,
    last_picture,
    measures_in,
)
from benchmarks.generative.printing import title_of
from benchmarks.generative.record import PLAIN, GenerativeResults, Measure
from benchmarks.generative.verdicts import verdicts
from benchmarks.generative.words import beside_published, headline, tiles
from benchmarks.reporting.charts import legend
from benchmarks.reporting.gather import Source
from benchmarks.reporting.html import fill
from benchmarks.reporting.rows import Shown, shown_rows, used_columns
from benchmarks.reporting.table import quantity, seconds_text


def render(sources: Sequence[Source[GenerativeResults]]) -> str:
    """The page as text.

    Args:
        sources: From `reporting.gather.open_sources`.
    """
    gathered = gather(sources)
    measures = measures_of(run for source in sources for run in source.results.runs)
    lines = [(source, row) for source in sources for row in table.rows(source.results, measures)]
    kept = used_columns([row for _, row in lines])
    developments = _developments(gathered)
    return fill(
        "generative.html",
        sources,
        headline=headline(gathered),
        tiles=tiles(gathered),
        notes=gathered.notes,
        columns=[table.columns(measures)[column] for column in kept],
        table_rows=shown_rows(
            sorted(lines, key=lambda pair: (pair[0].results.suite, *pair[1].order, pair[0].label)),
            kept,
            table.HEADLINE,
        ),
        table_note=" ".join(dict.fromkeys(table.note(source.results) for source in sources)),
        comparisons=[one for source in sources for one in _comparisons(source, len(sources) > 1)],
        comparison_note=COMPARISON_NOTE,
        published=[line for source in sources for line in beside_published(source)],
        batches=_batches(gathered),
        measures=[_measure(gathered, measure) for measure in measures],
        samples=_samples(gathered),
        developments=developments,
        fact_columns=FACTS,
        facts=[_facts(entry) for entry in each_once(gathered.groups)],
    )


def _comparisons(source: Source[GenerativeResults], several: bool) -> list[dict[str, Any]]:
    """Tables and sentences of a run's comparisons."""
    start = f"{source.label}: batch" if several else "Batch"
    return [
        {
            "title": f"{start} {one.batch_size}, {title_of(one.steps.measure)}",
            "columns": comparison_columns(one),
            "lines": [
                Shown(source.label, tuple(cells), standing.method == PLAIN, None)
                for standing, cells in zip(one.steps.standings, comparison_rows(one), strict=True)
            ],
            "verdicts": verdicts(one),
        }
        for one in compare(source.results.runs)
    ]


def _batches(gathered: Gathered) -> list[dict[str, Any]]:
    """The headline measure against the batch size, a section for each suite."""
    suites = list(dict.fromkeys(source.results.suite for source in gathered.sources))
    made = []
    for suite in suites:
        entries = [
            entry for entry in each_once(gathered.groups) if entry.source.results.suite == suite
        ]
        charts = batch_charts(entries, measures_in(entries)[0])
        if charts:
            styles = {entry.style.name: entry.style for entry in entries}
            title = suite if len(suites) > 1 else ""
            made.append({"title": title, "charts": charts, "legend": legend(list(styles.values()))})
    return made


def _measure(gathered: Gathered, measure: Measure) -> dict[str, Any]:
    """The charts of one measure, a section for each suite and batch size that has it."""
    return {
        "id": f"measure-{measure.name.replace('_', '-')}",
        "title": measure.title[:1].upper() + measure.title[1:],
        "direction": "Higher" if measure.higher_is_better else "Lower",
        "sections": [
            {
                "title": group.title,
                "legend": legend([entry.style for entry in group.entries]),
                "courses": [
                    charts
                    for clock in ("steps", group.clock)
                    if (charts := measure_charts(group.entries, measure, clock))
                ],
            }
            for group in gathered.groups
            if measure.name in {one.name for one in measures_in(group.entries)}
        ],
    }


def _samples(gathered: Gathered) -> list[dict[str, Any]]:
    """The last pictures; no section for a group without any."""
    made = []
    for group in gathered.groups:
        pictures = [
            {"name": entry.style.name, "note": f"seed {found[0]}", "picture": found[1]}
            for entry in [*group.references, *group.methods]
            if (found := last_picture(entry)) is not None
        ]
        if pictures:
            made.append({"title": group.title, "pictures": pictures})
    return made


def _developments(gathered: Gathered) -> list[dict[str, Any]]:
    """Pictures in the course of plain training and of the best method of each group."""
    made = []
    for group in gathered.groups:
        strips = [
            {"name": entry.style.name, "note": f"seed {found[0]}", "moments": found[1]}
            for entry in [*group.own_references, *group.methods[:1]]
            if (found := development(gathered, entry)) is not None
        ]
        if strips:
            made.append({"title": group.title, "strips": strips})
    return made


def each_once(groups: Sequence[Group]) -> list[Entry]:
    """Plain training and methods of all groups; that with twice the batch is in its own group."""
    return [entry for group in groups for entry in [*group.own_references, *group.methods]]


FACTS = ("method", "batch", "rows", "rows kept", "training passes", "selection passes",
         "training s", "selection s", "prepared s", "measuring s", "seeds")  # fmt: skip
"""Heads of the table of what it took."""


def _facts(entry: Entry) -> list[str]:
    summary = entry.summary
    run = summary.runs[0]
    trained = summary.spread(lambda run: run.passes.forward + run.passes.backward)
    return [
        entry.style.name,
        str(summary.batch_size),
        f"{run.rows:,}",
        table.kept_text(summary),
        quantity(trained.mean),
        quantity(summary.selection_passes.mean),
        seconds_text(summary.seconds_train),
        seconds_text(summary.seconds_select),
        seconds_text(summary.spread(lambda run: run.prepare_seconds)),
        seconds_text(summary.spread(lambda run: run.seconds.evaluate)),
        str(len(summary.seeds)),
    ]
