"""`report.html`: one self-contained page for a run, or for several side by side.

Nothing is requested from anywhere: styles, the script and the pictures are in the file, and a
content security policy says so to the browser.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from benchmarks.reporting import table
from benchmarks.reporting.charts import Curve, Dot, legend
from benchmarks.reporting.cost_chart import cost_chart
from benchmarks.reporting.curve_chart import curve_chart
from benchmarks.reporting.dots import DotRow, dot_plot
from benchmarks.reporting.gather import Entry, Gathered, Group, Source, gather, open_sources
from benchmarks.reporting.heat import composition_chart, matrix_chart
from benchmarks.reporting.results import BaseResults, Results, write_text_atomically
from benchmarks.reporting.rows import NOTHING, shown_rows
from benchmarks.reporting.svg import element
from benchmarks.reporting.words import headline, tiles
from clcore.errors import ArgumentError

MOST_END_LABELS = 14
"""With more lines than this, names at the lines' ends would be a wall of text."""


def write_report(run: str | os.PathLike[str], out: str | os.PathLike[str] | None = None) -> Path:
    """Write the page of one run.

    Args:
        run: The run folder, or its `results.json`.
        out: The file to write; `report.html` in the run folder by default.

    Returns:
        The file written.

    Raises:
        FormatError: The folder has no readable results, or no finished run.
        OSError: The file can't be written.
    """
    sources = open_sources([run])
    return _write(sources, Path(out) if out is not None else sources[0].folder / "report.html")


def compare(runs: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str]) -> Path:
    """Write one page that puts several runs side by side.

    Args:
        runs: Run folders, of one suite or of several.
        out: The file to write.

    Returns:
        The file written.

    Raises:
        ArgumentError: No run given, or the same one twice.
        FormatError: A folder has no readable results.
        OSError: The file can't be written.
    """
    return _write(open_sources(runs), Path(out))


def _write(sources: Sequence[Source[BaseResults]], out: Path) -> Path:
    from benchmarks.running.kind import kind_of

    if not out.parent.is_dir():
        raise ArgumentError(f"out: the folder {out.parent} does not exist")
    write_text_atomically(out, kind_of(sources[0].results.kind).page(sources))
    return out


def fill(template: str, sources: Sequence[Source[BaseResults]], **content: Any) -> str:
    """Fill in a page's template, and what all pages have: heading, settings, environment.

    Args:
        template: Its file name.
        sources: The run folders.
        **content: What this page has besides.
    """
    environment = Environment(
        loader=PackageLoader("benchmarks.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    suites = list(dict.fromkeys(source.results.suite for source in sources))
    return environment.get_template(template).render(
        title=" · ".join(suites),
        subtitle=_subtitle(sources),
        several=len(sources) > 1,
        sources=sources,
        settings=side_by_side([_without_command(source.results.settings) for source in sources]),
        machine=side_by_side([_without_command(source.results.environment) for source in sources]),
        commands=[reproduce(source) for source in sources],
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        **content,
    )


def render(sources: Sequence[Source[Results]]) -> str:
    """The page of runs of continual suites, as text.

    Args:
        sources: From `gather.open_sources`.
    """
    gathered = gather(sources)
    suites = list(dict.fromkeys(source.results.suite for source in sources))
    lines = [(source, row) for source in sources for row in table.rows(source.results)]
    return fill(
        "report.html",
        sources,
        headline=headline(gathered),
        tiles=tiles(gathered),
        columns=table.COLUMNS,
        table_rows=shown_rows(
            sorted(
                lines,
                key=lambda pair: (suites.index(pair[0].results.suite), pair[1].order),
            ),
            range(len(table.COLUMNS)),
            table.ACCURACY,
        ),
        table_note=_note(sources),
        sections=[_section(gathered, group) for group in gathered.groups],
        notes=gathered.notes,
    )


def _subtitle(sources: Sequence[Source[BaseResults]]) -> str:
    """What the suites call themselves in their settings."""
    titles = [source.results.settings.get("title") for source in sources]
    return " · ".join(dict.fromkeys(title for title in titles if isinstance(title, str)))


def _note(sources: Sequence[Source[Results]]) -> str:
    notes = dict.fromkeys(table.note(source.results) for source in sources)
    if len(notes) == 1:
        return next(iter(notes))
    return " ".join(f"{source.label}: {table.note(source.results)}" for source in sources)


def _section(gathered: Gathered, group: Group) -> dict[str, Any]:
    """All charts of one suite and memory size."""
    entries = group.entries
    curves = [Curve(entry.style, entry.summary.curve()) for entry in entries]
    # Reference points select nothing, and their accuracies would squeeze the others together.
    dots = [
        Dot(entry.style, entry.summary.seconds_select.mean, entry.summary.final_accuracy)
        for entry in group.methods
    ]
    labelled = len(entries) <= MOST_END_LABELS
    memories = [(entry, gathered.memory(entry)) for entry in group.methods]
    return {
        "title": group.title,
        "legend": legend([entry.style for entry in entries]),
        "cost_legend": legend([dot.style for dot in dots]),
        "curves": [
            curve_chart(curves, width=940, height=440, label_ends=labelled),
            curve_chart(curves, width=350, height=300, label_ends=False),
        ],
        "cost": [
            cost_chart(dots, width=940, height=400, label_dots=labelled),
            cost_chart(dots, width=350, height=300, label_dots=False),
        ]
        if dots
        else [],
        "matrices": [
            {
                "name": entry.style.name,
                "note": _seeds(entry),
                "chart": matrix_chart(entry.summary.mean_matrix(), entry.style.name),
            }
            for entry in entries
        ],
        "forgetting": forgetting(entries),
        "compositions": [
            {
                "name": entry.style.name,
                "note": f"seed {memory.seed}",
                "chart": composition_chart(memory.counts, memory.names, entry.style.name),
            }
            for entry, memory in memories
            if memory is not None
        ],
        "exemplars": [
            {
                "name": entry.style.name,
                "note": f"seed {memory.seed}, after the last experience",
                "picture": memory.picture,
            }
            for entry, memory in memories
            if memory is not None and memory.picture is not None
        ],
    }


def _seeds(entry: Entry) -> str:
    count = len(entry.summary.seeds)
    return f"mean of {count} seeds" if count > 1 else f"seed {entry.summary.seeds[0]}"


def forgetting(entries: Sequence[Entry]) -> dict[str, Any]:
    """The forgetting plot, least forgetting first.

    Args:
        entries: Methods and reference points.
    """
    spreads = [(entry.style, entry.summary.average_forgetting.scaled(100)) for entry in entries]
    return dot_plot(
        [
            DotRow(style, spread, spread.text())
            for style, spread in sorted(spreads, key=lambda pair: pair[1].mean)
        ],
        low=min(0.0, *(spread.mean - (spread.std or 0) for _, spread in spreads)),
        high=max(0.0, *(spread.mean + (spread.std or 0) for _, spread in spreads)),
        line=0.0,
    )


def number(text: str) -> Markup:
    """A cell of the table in print: a real minus sign, and the deviation set smaller."""
    signed = re.sub(r"(?<!\w)-(?=\d)", "\N{MINUS SIGN}", text)
    mean, sign, std = signed.partition(" ± ")
    return escape(mean) + (element("small", f" ± {std}") if sign else "")


def flatten(record: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted names and printed values."""
    flat: dict[str, str] = {}
    for key, value in record.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = _printed(value)
    return flat


def _printed(value: object) -> str:
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        return ", ".join(map(str, value)) or NOTHING
    return value if isinstance(value, str) else json.dumps(value)


def _without_command(record: Mapping[str, Any]) -> dict[str, Any]:
    """The command stands on the page by itself."""
    return {name: value for name, value in record.items() if name != "command"}


def side_by_side(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Settings of several runs, those that differ apart from those that agree.

    Args:
        records: One mapping a run.

    Returns:
        `same`: (name, value) pairs; `different`: (name, values) pairs, in the order of the runs.
    """
    flat = [flatten(record) for record in records]
    names = list(dict.fromkeys(name for record in flat for name in record))
    same, different = [], []
    for name in names:
        values = [record.get(name, NOTHING) for record in flat]
        if len(set(values)) == 1:
            same.append((name, values[0]))
        else:
            different.append((name, values))
    return {"same": same, "different": different}


def reproduce(source: Source[BaseResults]) -> str:
    """The command that makes a run again.

    Args:
        source: The run.

    Returns:
        What the run itself recorded as `command`, or else one made from suite, methods, seeds and
        memory sizes, where it is of a continual suite.
    """
    results = source.results
    recorded = results.environment.get("command", results.settings.get("command"))
    if isinstance(recorded, str):
        return recorded
    if not isinstance(results, Results):
        return shlex.join(["clcore", "run", results.suite])
    methods = dict.fromkeys(run.method for run in results.runs)
    seeds = sorted({run.seed for run in results.runs})
    sizes = sorted({run.memory_size for run in results.runs} - {0})
    words = ["clcore", "run", results.suite, "--methods", ",".join(methods)]
    words += ["--seeds", ",".join(map(str, seeds))]
    if sizes:
        words += ["--memory", ",".join(map(str, sizes))]
    return shlex.join(words)


__all__ = ["compare", "render", "reproduce", "write_report"]
