"""Collects what a page shows from one or several run folders."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from benchmarks.reporting.aggregate import Summary, aggregate
from benchmarks.reporting.charts import Style
from benchmarks.reporting.events import Event, read_events
from benchmarks.reporting.results import BaseResults, Results, read_any_results, results_file
from clcore.errors import ArgumentError, FormatError

T_co = TypeVar("T_co", bound=BaseResults, covariant=True)


@dataclass(frozen=True)
class Source(Generic[T_co]):
    """One run folder.

    Args:
        label: What to call it beside others.
        folder: Where it is.
        results: Its results.
    """

    label: str
    folder: Path
    results: T_co


@dataclass(frozen=True)
class Entry:
    """One method with one memory size in one run folder.

    Args:
        source: The run folder.
        summary: Its seeds.
        style: Look and name in every chart.
    """

    source: Source[Results]
    summary: Summary
    style: Style


@dataclass(frozen=True)
class Group:
    """Everything that may be compared in one chart: a suite and a memory size.

    Args:
        title: Heading; empty where there is one group only.
        methods: The competitors, best first.
        references: Naive and joint training of that suite.
    """

    title: str
    methods: list[Entry]
    references: list[Entry]

    @property
    def entries(self) -> list[Entry]:
        """Competitors, then reference points."""
        return self.methods + self.references


@dataclass
class Memory:
    """What the event log of one cell says about the memory.

    Args:
        counts: Exemplars a class after each experience, by label.
        names: Label to printed name of the class.
        picture: The last exemplar grid as a `data:` address, where there is one.
        seed: Seed of the cell.
    """

    counts: list[dict[str, int]]
    names: dict[str, str]
    picture: str | None
    seed: int


@dataclass
class Gathered:
    """Sources, groups and memories of a page, and what could not be read."""

    sources: list[Source[Results]]
    groups: list[Group]
    memories: dict[tuple[str, str, int], Memory] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def memory(self, entry: Entry) -> Memory | None:
        """The memory of an entry's first seed that has a log."""
        summary = entry.summary
        return self.memories.get((entry.source.label, summary.method, summary.memory_size))


def open_sources(paths: Sequence[str | os.PathLike[str]]) -> list[Source[BaseResults]]:
    """Read several run folders.

    Args:
        paths: Run folders, or `results.json` files in them.

    Returns:
        One source each, with labels that differ.

    Raises:
        ArgumentError: No folder given, the same one twice, or folders of several kinds.
        FormatError: A folder without readable results, or without any run.
    """
    if not paths:
        raise ArgumentError("runs: at least one run folder is needed, none was given")
    folders = [results_file(path).resolve().parent for path in paths]
    if len(set(folders)) < len(folders):
        raise ArgumentError("runs: the same run folder is given twice")
    sources: list[Source[BaseResults]] = []
    for path, folder in zip(paths, folders, strict=True):
        results = read_any_results(path)
        if not results.runs:
            raise FormatError(f"{folder} holds no finished run yet; resume it first")
        parts = 1
        while any(other != folder and other.parts[-parts:] == folder.parts[-parts:]
                  for other in folders):  # fmt: skip
            parts += 1
        sources.append(Source("/".join(folder.parts[-parts:]), folder, results))
    if len({source.results.kind for source in sources}) > 1:
        found = ", ".join(f"{source.label} is {source.results.kind}" for source in sources)
        raise ArgumentError(f"runs: only runs of one kind of suite can be compared; {found}")
    return sources


def gather(sources: Sequence[Source[Results]]) -> Gathered:
    """Group methods for the charts, give each a look, and read the memories' logs.

    Args:
        sources: From `open_sources`.

    Returns:
        All that a page needs. Damaged event logs are named in `notes`; what they would have shown
        is left out.
    """
    several = len(sources) > 1
    summaries = [(source, aggregate(source.results.runs)) for source in sources]
    names = list(
        dict.fromkeys(
            summary.method for _, own in summaries for summary in own if not summary.reference
        )
    )
    groups: dict[tuple[str, int], list[Entry]] = {}
    references: dict[str, list[Entry]] = {}
    for number, (source, own) in enumerate(summaries):
        for summary in own:
            name = f"{summary.method} ({source.label})" if several else summary.method
            if summary.reference:
                variant = number + (1 if summary.method == "joint" else 0)
                entry = Entry(source, summary, Style(name, None, variant))
                references.setdefault(source.results.suite, []).append(entry)
            else:
                style = Style(name, names.index(summary.method), number)
                entry = Entry(source, summary, style)
                groups.setdefault((source.results.suite, summary.memory_size), []).append(entry)
    for suite in references:
        if not any(key[0] == suite for key in groups):
            groups[(suite, 0)] = []
    suites = {suite for suite, _ in groups}
    made = []
    for (suite, size), entries in sorted(groups.items(), key=lambda item: item[0]):
        size_text = f"memory of {size:,}" if size else "no memory"
        title = f"{suite}, {size_text}" if len(suites) > 1 else size_text
        entries.sort(key=lambda entry: -entry.summary.final_accuracy.mean)
        made.append(Group(title if len(groups) > 1 else "", entries, references.get(suite, [])))
    gathered = Gathered(list(sources), made)
    for group in made:
        for entry in group.methods:
            _read_memory(gathered, entry)
    return gathered


def _read_memory(gathered: Gathered, entry: Entry) -> None:
    """Take the memory from the first seed that has a log of it."""
    summary, source = entry.summary, entry.source
    try:
        for run in summary.runs:
            memory = _memory_of(inside(source.folder / "cells", run.cell), run.seed)
            if memory is not None:
                key = (source.label, summary.method, summary.memory_size)
                gathered.memories[key] = memory
                return
    except FormatError as error:
        gathered.notes.append(f"The memory of {entry.style.name} is not shown: {error}.")


def _memory_of(folder: Path, seed: int) -> Memory | None:
    if not (folder / "events.jsonl").is_file():
        return None
    events = read_events(folder)
    found = [event for event in events if event["event"] == "memory"]
    if not found:
        return None
    if not all(isinstance(event.get("class_counts"), dict) for event in found):
        raise FormatError(f"{folder / 'events.jsonl'} is damaged: a memory event lacks its counts")
    counts = [{str(k): int(v) for k, v in event["class_counts"].items()} for event in found]
    return Memory(counts, _class_names(events, counts), _picture(folder, found), seed)


def _class_names(events: Sequence[Event], counts: Sequence[dict[str, int]]) -> dict[str, str]:
    start: dict[str, Any] = next((e for e in events if e["event"] == "start"), {})
    labels = {label for column in counts for label in column}
    named = dict(enumerate(start.get("class_names") or []))
    classes = start.get("classes") or 0
    labels |= {str(label) for label in range(classes)}
    ordered = sorted(labels, key=lambda label: (not label.isdigit(), int(label) if
                                                label.isdigit() else 0, label))  # fmt: skip
    return {
        label: str(named.get(int(label), label)) if label.isdigit() else label for label in ordered
    }


def inside(folder: Path, name: str) -> Path:
    """A file that an event names, which must lie in the cell's folder.

    Args:
        folder: The cell's folder.
        name: Relative name from an event.

    Returns:
        The path.

    Raises:
        FormatError: The name leads out of the folder.
    """
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise FormatError(f"the event log in {folder} names a file outside of it: {name!r}")
    return path


def _picture(folder: Path, events: Sequence[Event]) -> str | None:
    for event in reversed(events):
        name = event.get("exemplars")
        if name and (path := inside(folder, name)).is_file():
            return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
    return None
