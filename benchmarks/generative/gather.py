"""Collects what the page of generative runs shows."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.generative.aggregate import GenerativeSummary, aggregate
from benchmarks.generative.comparison import Clock, times_of
from benchmarks.generative.pictures import LAST
from benchmarks.generative.record import GenerativeResults, Measure
from benchmarks.reporting.aggregate import Spread
from benchmarks.reporting.charts import Style
from benchmarks.reporting.events import read_events
from benchmarks.reporting.gather import Source, inside
from clcore.errors import FormatError

MOST_MOMENTS = 6
"""Pictures of one development at most: the first, the last and some between them."""


@dataclass(frozen=True)
class Entry:
    """One method with one batch size in one run folder.

    Args:
        source: The run folder.
        summary: Its seeds.
        style: Look and name in every chart.
    """

    source: Source[GenerativeResults]
    summary: GenerativeSummary
    style: Style

    def course(self, measure: str, clock: Clock) -> list[tuple[float, Spread]]:
        """A measure over steps or time, means over the seeds.

        Args:
            measure: Its name.
            clock: What it is over.

        Returns:
            Place and value of each point that all seeds have; nothing where a seed lacks it.
        """
        runs = self.summary.runs
        if any(measure not in run.course.measures for run in runs):
            return []
        values = [run.course.measures[measure] for run in runs]
        times = [times_of(run, clock) for run in runs]
        return [
            (
                Spread.of(own[point] for own in times).mean,
                Spread.of(own[point] for own in values),
            )
            for point in range(min(map(len, values)))
        ]


@dataclass(frozen=True)
class Group:
    """Everything that may be compared over time: a suite and a batch size.

    Args:
        batch_size: Rows in a step.
        title: Heading; empty where there is one group only.
        methods: The methods, the best first.
        references: Plain training with that batch size, and with twice as much.
    """

    batch_size: int
    title: str
    methods: list[Entry]
    references: list[Entry]

    @property
    def own_references(self) -> list[Entry]:
        """Plain training with the group's own batch size."""
        return [one for one in self.references if one.summary.batch_size == self.batch_size]

    @property
    def entries(self) -> list[Entry]:
        """Methods, then plain training."""
        return self.methods + self.references

    @property
    def clock(self) -> Clock:
        """Processor time where all runs measured it, else wall clock."""
        runs = [run for entry in self.entries for run in entry.summary.runs]
        measured = all(run.course.cpu_seconds is not None for run in runs)
        return "cpu_seconds" if measured else "seconds"


@dataclass
class Gathered:
    """Sources, groups, and what could not be read."""

    sources: list[Source[GenerativeResults]]
    groups: list[Group]
    notes: list[str] = field(default_factory=list)


def gather(sources: Sequence[Source[GenerativeResults]]) -> Gathered:
    """Group methods for the charts and give each a look.

    Args:
        sources: From `reporting.gather.open_sources`.
    """
    several = len(sources) > 1
    own = [(source, aggregate(source.results.runs)) for source in sources]
    # A method keeps its colour on all charts, whatever batch size it is best with.
    names = sorted({s.method for _, found in own for s in found if not s.plain})
    suites = sorted({source.results.suite for source in sources})
    sizes = {(source.results.suite, s.batch_size) for source, found in own for s in found}
    groups = []
    for suite, size in sorted(sizes):
        methods: list[Entry] = []
        references: list[Entry] = []
        for number, (source, found) in enumerate(own):
            if source.results.suite != suite:
                continue
            label = f" ({source.label})" if several else ""
            for summary in found:
                if summary.plain and summary.batch_size in (size, 2 * size):
                    twice = summary.batch_size != size
                    name = f"plain (batch {summary.batch_size})" if twice else "plain"
                    # Dashes tell the two apart, and several runs.
                    style = Style(f"{name}{label}", None, 2 * number + int(twice))
                    references.append(Entry(source, summary, style))
                elif not summary.plain and summary.batch_size == size:
                    style = Style(f"{summary.method}{label}", names.index(summary.method), number)
                    methods.append(Entry(source, summary, style))
        methods.sort(key=lambda entry: _worst_last(entry.summary))
        title = f"{suite}, batch {size}" if len(suites) > 1 else f"Batch {size}"
        title = title if len(sizes) > 1 else ""
        groups.append(Group(size, title, methods, references))
    return Gathered(list(sources), groups)


def _worst_last(summary: GenerativeSummary) -> float:
    return -summary.final.mean if summary.headline.higher_is_better else summary.final.mean


def measures_in(entries: Sequence[Entry]) -> list[Measure]:
    """All measures of some entries, each once, the headline first."""
    found: dict[str, Measure] = {}
    for entry in entries:
        for run in entry.summary.runs:
            for measure in run.measures:
                found.setdefault(measure.name, measure)
    return list(found.values())


@dataclass(frozen=True)
class Moment:
    """A picture of samples in the course of a run.

    Args:
        steps: Steps of training so far.
        picture: As a `data:` address.
    """

    steps: int
    picture: str


def last_picture(entry: Entry) -> tuple[int, str] | None:
    """Seed and picture of the end of the first seed that has one; None without any."""
    for run in entry.summary.runs:
        file = inside(entry.source.folder / "cells", run.cell) / LAST
        if file.is_file():
            return run.seed, data_address(file)
    return None


def development(gathered: Gathered, entry: Entry) -> tuple[int, list[Moment]] | None:
    """Pictures in the course of the first seed that has some.

    Args:
        gathered: Is told where a log can't be read.
        entry: The method.

    Returns:
        The seed, and at most `MOST_MOMENTS` pictures, evenly spread over those that there are; None
        where no seed has two.
    """
    for run in entry.summary.runs:
        folder = inside(entry.source.folder / "cells", run.cell)
        if not (folder / "events.jsonl").is_file():
            continue
        try:
            moments = _moments(folder)
        except FormatError as error:
            gathered.notes.append(f"The course of {entry.style.name} is not shown: {error}.")
            return None
        if len(moments) > 1:
            return run.seed, [
                Moment(steps, data_address(file)) for steps, file in _spread_out(moments)
            ]
    return None


def _moments(folder: Path) -> list[tuple[int, Path]]:
    """Steps and picture file of each point that has one."""
    found = []
    for event in read_events(folder):
        if event["event"] == "point":
            file = picture_of(folder, event)
            if file is not None:
                found.append((int(event["steps"]), file))
    return found


def picture_of(folder: Path, event: Mapping[str, Any]) -> Path | None:
    """The picture that a `point` event names; None where it names none that is there.

    Args:
        folder: The cell's folder.
        event: The event.

    Raises:
        FormatError: The name leads out of the folder.
    """
    name = event.get("picture")
    if not name:
        return None
    file = inside(folder, name)
    return file if file.is_file() else None


def _spread_out(moments: Sequence[tuple[int, Path]]) -> list[tuple[int, Path]]:
    """The first, the last, and what lies evenly between them."""
    if len(moments) <= MOST_MOMENTS:
        return list(moments)
    step = (len(moments) - 1) / (MOST_MOMENTS - 1)
    return [moments[round(place * step)] for place in range(MOST_MOMENTS)]


def data_address(file: Path) -> str:
    """A PNG as a `data:` address."""
    return "data:image/png;base64," + base64.b64encode(file.read_bytes()).decode()
