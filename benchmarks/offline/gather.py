"""Collects what the page of offline runs shows."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.offline.aggregate import OfflineSummary, aggregate
from benchmarks.offline.pictures import HEAVIEST, NEVER
from benchmarks.offline.record import OfflineResults
from benchmarks.reporting.aggregate import Spread
from benchmarks.reporting.charts import Style
from benchmarks.reporting.events import read_events
from benchmarks.reporting.gather import Source
from clcore.errors import FormatError


@dataclass(frozen=True)
class Entry:
    """One method with one fraction and one optimiser in one run folder.

    Args:
        source: The run folder.
        summary: Its seeds.
        style: Look and name in every chart.
    """

    source: Source[OfflineResults]
    summary: OfflineSummary
    style: Style

    def course(self, name: str) -> list[tuple[float, Spread]]:
        """One of the curves over seconds, means over the seeds.

        Args:
            name: Field of `Curves`.

        Returns:
            Seconds, selection inside, and the value, at each point that all seeds have; nothing
            where a seed has no such curve.
        """
        curves = [getattr(run.curves, name) for run in self.summary.runs]
        if any(curve is None for curve in curves):
            return []
        points = min(len(curve) for curve in curves)
        seconds = [run.curves.seconds for run in self.summary.runs]
        return [
            (
                Spread.of(clock[point] for clock in seconds).mean,
                Spread.of(curve[point] for curve in curves),
            )
            for point in range(points)
        ]


@dataclass(frozen=True)
class Group:
    """Everything that may be compared over time: a suite, an optimiser and a fraction.

    Args:
        title: Heading; empty where there is one group only.
        methods: The competitors, best first.
        references: Full training with that optimiser.
    """

    title: str
    methods: list[Entry]
    references: list[Entry]

    @property
    def entries(self) -> list[Entry]:
        """Competitors, then full training."""
        return self.methods + self.references


@dataclass
class Gathered:
    """Sources, groups, names of classes, and what could not be read."""

    sources: list[Source[OfflineResults]]
    groups: list[Group]
    by_optimizer: list[tuple[str, list[Entry]]]
    class_names: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def gather(sources: Sequence[Source[OfflineResults]]) -> Gathered:
    """Group methods for the charts and give each a look.

    Args:
        sources: From `gather.open_sources`.
    """
    several = len(sources) > 1
    own = [(source, aggregate(source.results.runs)) for source in sources]
    names = list(
        dict.fromkeys(s.method for _, found in own for s in sorted(found, key=_by_name)
                      if not s.reference)
    )  # fmt: skip
    full = list(dict.fromkeys(s.method for _, found in own for s in found if s.reference))
    entries: list[Entry] = []
    for number, (source, summaries) in enumerate(own):
        for summary in summaries:
            name = f"{summary.method} ({source.label})" if several else summary.method
            index = None if summary.reference else names.index(summary.method)
            variant = number + (full.index(summary.method) if summary.reference else 0)
            entries.append(Entry(source, summary, Style(name, index, variant)))
    places = list(
        dict.fromkeys((e.source.results.suite, e.summary.optimizer, e.summary.fraction)
                      for e in entries if not e.summary.reference)
    )  # fmt: skip
    places = places or [(e.source.results.suite, e.summary.optimizer, 1.0) for e in entries[:1]]
    several_suites = len({suite for suite, _, _ in places}) > 1
    several_optimizers = len({optimizer for _, optimizer, _ in places}) > 1
    groups = []
    for suite, optimizer, fraction in sorted(places):
        words = [suite] if several_suites else []
        words += [optimizer] if several_optimizers else []
        words += [f"{fraction * 100:g} % of the rows"]
        here = [e for e in entries if (e.source.results.suite, e.summary.optimizer)
                == (suite, optimizer)]  # fmt: skip
        methods = [e for e in here if not e.summary.reference and e.summary.fraction == fraction]
        methods.sort(key=lambda entry: -entry.summary.final_accuracy.mean)
        references = [e for e in here if e.summary.reference]
        groups.append(Group(", ".join(words) if len(places) > 1 else "", methods, references))
    by_optimizer = [
        (
            f"{suite}, {optimizer}" if several_suites else optimizer if several_optimizers else "",
            [e for e in entries if (e.source.results.suite, e.summary.optimizer)
             == (suite, optimizer)],
        )
        for suite, optimizer in dict.fromkeys((suite, optimizer) for suite, optimizer, _ in places)
    ]  # fmt: skip
    gathered = Gathered(list(sources), groups, by_optimizer)
    _read_class_names(gathered, entries)
    return gathered


def _by_name(summary: OfflineSummary) -> tuple[bool, str]:
    return (not summary.baseline, summary.method)


def _read_class_names(gathered: Gathered, entries: Sequence[Entry]) -> None:
    """Take the names of the classes from the first event log that has them."""
    for entry in entries:
        for run in entry.summary.runs:
            folder = entry.source.folder / "cells" / run.cell
            if not (folder / "events.jsonl").is_file():
                continue
            try:
                start = next((e for e in read_events(folder) if e["event"] == "start"), {})
            except FormatError as error:
                gathered.notes.append(f"The names of the classes are missing: {error}.")
                return
            gathered.class_names = [str(name) for name in start.get("class_names") or []]
            return


def pictures(entry: Entry) -> dict[str, str]:
    """Pictures of the first seed that has them, as `data:` addresses by file name."""
    found: dict[str, str] = {}
    for run in entry.summary.runs:
        folder = entry.source.folder / "cells" / run.cell
        for name in (HEAVIEST, NEVER):
            file = folder / name
            if file.is_file():
                content = base64.b64encode(file.read_bytes()).decode()
                found[name] = f"data:image/png;base64,{content}"
        if found:
            return found
    return found
