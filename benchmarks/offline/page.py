"""The page of offline runs: `report.html`, self-contained as that of every kind of suite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup

from benchmarks.offline import table
from benchmarks.offline.aggregate import relative_gradient_error
from benchmarks.offline.charts import class_chart, weights_chart
from benchmarks.offline.gather import Entry, Gathered, Group, gather, pictures
from benchmarks.offline.pictures import HEAVIEST, NEVER
from benchmarks.offline.record import OfflineResults, OfflineRun
from benchmarks.offline.words import beside_published, headline, tiles
from benchmarks.reporting.charts import legend
from benchmarks.reporting.dots import DotRow, dot_plot
from benchmarks.reporting.gather import Source
from benchmarks.reporting.html import fill
from benchmarks.reporting.line_chart import Axis, Line, line_charts
from benchmarks.reporting.rows import NOTHING, shown_rows, used_columns

PERCENT = 100.0


def render(sources: Sequence[Source[OfflineResults]]) -> str:
    """The page as text.

    Args:
        sources: From `reporting.gather.open_sources`.
    """
    gathered = gather(sources)
    lines = [(source, row) for source in sources for row in table.rows(source.results)]
    kept = used_columns([row for _, row in lines], [table.OPTIMISER])
    return fill(
        "offline.html",
        sources,
        headline=headline(gathered),
        tiles=tiles(gathered),
        notes=gathered.notes,
        columns=[table.COLUMNS[column] for column in kept],
        table_rows=shown_rows(
            sorted(lines, key=lambda pair: (pair[0].results.suite, *pair[1].order, pair[0].label)),
            kept,
            table.ACCURACY,
        ),
        table_note=" ".join(dict.fromkeys(table.note(source.results) for source in sources)),
        published=[line for source in sources for line in beside_published(source)],
        fact_columns=FACTS,
        sections=[_section(gathered, group) for group in gathered.groups],
        fractions=[_fractions(title, entries) for title, entries in gathered.by_optimizer],
    )


def _section(gathered: Gathered, group: Group) -> dict[str, Any]:
    """All charts of one suite, optimiser and fraction."""
    chosen = [entry for entry in group.methods if entry.summary.runs[0].weights is not None]
    return {
        "title": group.title,
        "legend": legend([entry.style for entry in group.entries]),
        "residual": _over_time(group, "loss_residual", "loss residual", logarithmic=True),
        "loss": _over_time(group, "loss", "training loss", logarithmic=True),
        "error": _over_time(group, "test_error", "test error", logarithmic=True, scale=PERCENT),
        "speedups": [
            speedups(group.methods, lambda run: run.speedup, "to the loss of full training"),
            speedups(
                group.methods,
                lambda run: run.speedup_accuracy,
                "to the test accuracy of full training",
            ),
            *_in_processor_time(group),
        ]
        if group.references
        else [],
        "weights": [
            {
                "name": entry.style.name,
                "note": _weights_note(entry.summary.runs[0]),
                "chart": weights_chart(weights, entry.style.name),
            }
            for entry in chosen
            if (weights := entry.summary.runs[0].weights) is not None
            and weights.greatest > weights.least * 1.000001
        ],
        "classes": _classes(gathered, chosen),
        "facts": [_facts(entry) for entry in chosen],
        "pictures": [
            {"name": entry.style.name, "heaviest": found.get(HEAVIEST), "never": found.get(NEVER)}
            for entry in chosen
            if (found := pictures(entry))
        ],
    }


def _in_processor_time(group: Group) -> list[dict[str, Any]]:
    """The plots of speed-ups again, where processor time was measured."""
    if all(entry.summary.cpu_seconds is None for entry in group.methods):
        return []
    return [
        speedups(
            group.methods,
            lambda run: run.speedup_cpu,
            "to the loss of full training, in processor time",
        ),
        speedups(
            group.methods,
            lambda run: run.speedup_accuracy_cpu,
            "to the test accuracy of full training, in processor time",
        ),
    ]


def _over_time(
    group: Group, name: str, title: str, *, logarithmic: bool = False, scale: float = 1.0
) -> list[Markup]:
    """A curve of all methods over seconds, for a desk and for a phone; nothing without points."""
    lines = [
        Line(entry.style, [(seconds, value.scaled(scale)) for seconds, value in points])
        for entry in group.entries
        if (points := entry.course(name))
    ]
    if not lines:
        return []
    # A model without any error has no place on a logarithmic scale.
    above = all(value.mean > 0 for line in lines for _, value in line.points)
    x = Axis("seconds of training and selection", " s", logarithmic=True)
    y = Axis(title, " %" if scale == PERCENT else "", logarithmic=logarithmic and above)
    return line_charts(lines, x, y)


def _fractions(title: str, entries: Sequence[Entry]) -> dict[str, Any]:
    """Accuracy against fraction, with full training as a level."""
    methods = [entry for entry in entries if not entry.summary.reference]
    fractions = sorted({entry.summary.fraction for entry in methods})
    if len(fractions) < 2:
        return {"title": title, "charts": [], "legend": ""}
    lines: dict[str, Line] = {}
    for entry in methods:
        points = [
            (other.summary.fraction * PERCENT, other.summary.final_accuracy.scaled(PERCENT))
            for other in methods
            if other.style.name == entry.style.name
        ]
        lines.setdefault(entry.style.name, Line(entry.style, points))
    for entry in entries:
        if entry.summary.reference:
            level = entry.summary.final_accuracy.scaled(PERCENT)
            ends = (fractions[0] * PERCENT, fractions[-1] * PERCENT)
            lines[entry.style.name] = Line(entry.style, [(end, level) for end in ends])
    ticks = [fraction * PERCENT for fraction in fractions]
    x = Axis("share of the rows", " %", logarithmic=True, ticks=ticks)
    y = Axis("final accuracy", " %")
    return {
        "title": title,
        "charts": line_charts(list(lines.values()), x, y),
        "legend": legend([line.style for line in lines.values()]),
    }


def speedups(
    entries: Sequence[Entry], read: Callable[[OfflineRun], float | None], title: str
) -> dict[str, Any]:
    """A plot of speed-ups, highest first.

    Args:
        entries: The methods.
        read: The speed-up of a run; None where it never got there.
        title: What is reached.
    """
    found = [(entry, entry.summary.spread_of_some(read)) for entry in entries]
    reached = [spread for _, spread in found if spread is not None]
    dots = [
        DotRow(
            entry.style,
            spread,
            "never" if spread is None else table.factor_text(entry.summary, spread),
        )
        for entry, spread in sorted(found, key=lambda pair: -(pair[1].mean if pair[1] else -1.0))
    ]
    high = max([1.0, *(spread.mean + (spread.std or 0.0) for spread in reached)])
    return {"title": title, **dot_plot(dots, low=0.0, high=high, line=1.0, unit="×")}


def _weights_note(run: OfflineRun) -> str:
    assert run.weights is not None
    effective = run.weights.effective_rows / max(sum(run.weights.counts), 1)
    return f"seed {run.seed}, worth {effective * 100:.0f} % of as many equal rows"


def _classes(gathered: Gathered, chosen: Sequence[Entry]) -> Markup | None:
    """Shares of the classes in all rows and in the last coreset of each method."""
    entries = [entry for entry in chosen if entry.summary.runs[0].class_counts]
    if not entries:
        return None
    columns = [("all rows", _shares(entries[0].summary.runs[0].all_class_counts))]
    columns += [
        (entry.style.name, _shares(entry.summary.runs[0].class_counts)) for entry in entries
    ]
    count = max(len(shares) for _, shares in columns)
    names = gathered.class_names
    names = names if len(names) >= count else [str(label) for label in range(count)]
    even = [(name, [*shares, *[0.0] * (len(names) - len(shares))]) for name, shares in columns]
    return class_chart(even, names, "Classes of the last coreset of each method")


def _shares(counts: dict[str, int]) -> list[float]:
    ordered = [counts[label] for label in sorted(counts, key=int)]
    total = sum(ordered) or 1
    return [count / total for count in ordered]


FACTS = (
    "method",
    "rows",
    "ever chosen %",
    "hardest tenth chosen %",
    "wrong labels %",
    "effective rows %",
    "greatest weight",
    "gradient error %",
    "certified %",
)
"""Heads of the table on what was chosen."""


def _facts(entry: Entry) -> list[str]:
    summary = entry.summary

    def shown(read: Callable[[OfflineRun], float | None], scale: float, digits: int = 1) -> str:
        spread = summary.spread_of_some(read)
        return NOTHING if spread is None else spread.text(scale=scale, digits=digits)

    def effective(run: OfflineRun) -> float | None:
        if run.weights is None:
            return None
        return run.weights.effective_rows / max(sum(run.weights.counts), 1)

    def greatest(run: OfflineRun) -> float | None:
        return None if run.weights is None else run.weights.greatest

    def certified(run: OfflineRun) -> float | None:
        bounds = [c.error_bound / c.gradient_norm for c in run.selections
                  if c.error_bound is not None and c.gradient_norm]  # fmt: skip
        return sum(bounds) / len(bounds) if bounds else None

    return [
        entry.style.name,
        f"{summary.runs[0].selections[-1].rows:,}" if summary.runs[0].selections else "",
        shown(lambda run: run.rows_ever_chosen / max(run.rows, 1), PERCENT),
        shown(lambda run: run.hardest_chosen, PERCENT),
        shown(lambda run: run.wrong_labels, PERCENT),
        shown(effective, PERCENT, 0),
        shown(greatest, 1.0),
        shown(relative_gradient_error, PERCENT),
        shown(certified, PERCENT, 0),
    ]
