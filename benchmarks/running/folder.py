"""The folder of a run: made, recognised, resumed, and never overwritten by accident."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.environment import describe
from benchmarks.reporting.results import BaseResults, Record, write_results, write_text_atomically
from benchmarks.running.failures import disk_errors
from benchmarks.running.kind import Kind, kind_of
from benchmarks.running.plan import AnyCell, united
from benchmarks.running.task import read_result
from benchmarks.settings import changed, from_plain, override, settings_hash, to_plain
from benchmarks.suites import AnySuite
from clcore.errors import ArgumentError, FormatError

SCHEMA = 1
"""Number of the format of `settings.json`."""

OURS = ("cells", "results.json", "table.md", "report.html", "settings.json", "shared", "wandb")
"""What a run writes into its folder, and what overwriting it removes."""


class RunFolder:
    """A run on disk.

    Args:
        path: The folder.
        suite: The suite with its settings.
        cells: The cells to run, in order.
        environment: Where it was begun.
    """

    def __init__(
        self, path: Path, suite: AnySuite, cells: list[AnyCell], environment: dict[str, Any]
    ) -> None:
        self.path, self.suite, self.cells, self.environment = path, suite, cells, environment
        self.kind: Kind[Any, Any, Any, Any] = kind_of(suite.kind)
        self._runs: dict[AnyCell, Record] = {}

    @property
    def settings(self) -> dict[str, Any]:
        """The settings as `results.json` shows them.

        `hash` is equal for two runs whose cells compute the same, whichever cells they have;
        `command` makes the run again.
        """
        plain = to_plain(self.suite)
        silent = (*self.kind.choice, "title", "published", "sources")
        telling = {k: v for k, v in plain.items() if k not in silent}
        return {**plain, "hash": settings_hash(telling), "command": command_of(self.suite)}

    def cell_folder(self, cell: AnyCell) -> Path:
        """Where a cell's files are."""
        return self.path / "cells" / cell.name

    def write_settings(self) -> None:
        """Write `settings.json`: what the run is, for `--resume`."""
        record = {
            "schema": SCHEMA,
            "suite": self.suite.name,
            "settings": to_plain(self.suite),
            "cells": [cell.record() for cell in self.cells],
            "environment": self.environment,
        }
        with disk_errors(self.path):
            (self.path / "cells").mkdir(parents=True, exist_ok=True)
            write_text_atomically(self.path / "settings.json", json.dumps(record, indent=1) + "\n")

    def finished(self) -> list[AnyCell]:
        """The cells whose results are there."""
        return [c for c in self.cells if (self.cell_folder(c) / "result.json").is_file()]

    def results(self) -> BaseResults:
        """The results of the finished cells.

        Raises:
            FormatError: A cell's result is damaged.
        """
        for cell in self.finished():
            # A result does not change once it is there; each file is read once.
            run = self._runs.get(cell) or read_result(self.cell_folder(cell), self.kind.run)
            if run is not None:
                self._runs[cell] = run
        runs = self.kind.complete([self._runs[c] for c in self.cells if c in self._runs])
        results: BaseResults = self.kind.results.model_validate(
            {
                "schema": 1,
                "suite": self.suite.name,
                "kind": self.suite.kind,
                "environment": self.environment,
                "settings": self.settings,
                "runs": [run.model_dump(mode="json") for run in runs],
            }
        )
        return results

    def write_results(self) -> BaseResults:
        """Write `results.json` with the cells that are finished."""
        results = self.results()
        with disk_errors(self.path):
            write_results(self.path / "results.json", results)
        return results


def surroundings(suite: AnySuite) -> dict[str, Any]:
    """Where a suite would run: see `environment.describe`."""
    return describe(suite.threads, getattr(suite, "device", "cpu"))


def command_of(suite: AnySuite) -> str:
    """The command line that runs a suite with these settings."""
    from benchmarks import suites

    words = ["clcore", "run", suite.name]
    if suite.name in suites.REGISTRY:
        plain: Any = suites.find(suite.name)
        for name, option in kind_of(suite.kind).choice.items():
            values = getattr(suite, name)
            if values != getattr(plain, name):
                words += [option, ",".join(map(str, values))]
            plain = replace(plain, **{name: values})
        for assignment in changed(plain, suite):
            words += ["--set", assignment]
    return shlex.join(words)


def create(path: Path, suite: AnySuite, *, overwrite: bool = False) -> RunFolder:
    """Begin a run in a new or empty folder.

    Args:
        path: The folder.
        suite: The suite with its settings.
        overwrite: Remove an older run that is there; never anything that is not a run's.

    Returns:
        The run, its settings written.

    Raises:
        ArgumentError: There is a run already and `overwrite` is false; or the folder holds
            something else; or the suite can't be run.
        DataUnavailableError: The data set is not in the cache.
        DiskError: The folder can't be written.
    """
    kind = kind_of(suite.kind)
    cells = list(kind.cells_of(suite))
    kind.check(suite)
    kind.require(suite)
    kind.check_cells(suite, cells)
    if path.exists() and not path.is_dir():
        raise ArgumentError(f"--out: {path} is a file; a folder is needed")
    if path.is_dir() and any(path.iterdir()):
        if not _is_run(path):
            raise ArgumentError(
                f"--out: {path} holds files, but no run of clcore; nothing was changed: give "
                "another folder"
            )
        if not overwrite:
            raise ArgumentError(
                f"--out: {path} holds a run already; nothing was changed: continue it with "
                "--resume, replace it with --overwrite, or give another folder"
            )
        with disk_errors(path):
            for name in OURS:
                target = path / name
                if target.is_dir() and not target.is_symlink():
                    shutil.rmtree(target)
                else:
                    target.unlink(missing_ok=True)
    run = RunFolder(path, suite, cells, surroundings(suite))
    run.write_settings()
    return run


def reopen(
    path: Path,
    *,
    name: str | None = None,
    assignments: Iterable[str] = (),
    **choice: Any,
) -> RunFolder:
    """Continue a run.

    Args:
        path: Its folder.
        name: The suite that it should be of; None for any.
        assignments: `key=value` settings; none may differ from what is recorded.
        **choice: `methods`, `seeds` and what else the kind lets choose: run these cells too.

    Returns:
        The run with all its cells.

    Raises:
        FormatError: There is no run, its settings are damaged or of another schema.
        ArgumentError: It is of another suite or was made with other settings; says which. Or a
            further cell can't be run.
        DataUnavailableError: Further cells are wanted, and the data set is not in the cache.
        DiskError: The folder can't be written.
    """
    suite, cells, environment = _read_settings(path)
    if name is not None and name.replace("_", "-") != suite.name:
        raise ArgumentError(
            f"--resume: {path} is a run of {suite.name}, not of {name}; nothing was changed"
        )
    kind = kind_of(suite.kind)
    fixed = (*kind.fixed, *kind.choice)
    differing = changed(suite, override(suite, assignments, fixed=fixed))
    if differing:
        raise ArgumentError(
            f"--resume: {path} was made with other settings than {', '.join(differing)}; nothing "
            "was changed: leave --set away to continue it, or give another folder"
        )
    if choice:
        plain: Any = suite
        wanted = replace(plain, **choice)
        further = list(kind.cells_of(wanted))
        # Before they are written: a run with a cell that can't be run could not be continued.
        kind.check(wanted)
        kind.require(wanted)
        kind.check_cells(wanted, further)
        cells = united(cells, further)
        added: dict[str, Any] = {
            key: tuple(dict.fromkeys([*getattr(suite, key), *choice[key]])) for key in choice
        }
        suite = replace(plain, **added)
    run = RunFolder(path, suite, cells, environment)
    run.write_settings()
    return run


def _is_run(path: Path) -> bool:
    """Whether a folder holds a run of ours, of any schema."""
    try:
        record = json.loads((path / "settings.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and {"schema", "suite", "settings"} <= set(record)


def _read_settings(path: Path) -> tuple[AnySuite, list[AnyCell], dict[str, Any]]:
    file = path / "settings.json"
    if not file.is_file():
        raise FormatError(f"{path} holds no run of clcore: there is no settings.json")
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FormatError(f"{file} is damaged: it is not valid JSON") from error
    if not isinstance(record, dict) or "schema" not in record:
        raise FormatError(f"{file} is not the settings.json of a run: it has no 'schema' number")
    if record["schema"] != SCHEMA:
        raise FormatError(
            f"{file} was written with schema {record['schema']!r}, this version continues schema "
            f"{SCHEMA}; nothing was changed: give another folder, or --overwrite"
        )
    try:
        kind = kind_of(record["settings"]["kind"])
        suite: AnySuite = from_plain(kind.suite, record["settings"])
        cells: list[AnyCell] = [kind.cell(cell) for cell in record["cells"]]
        return suite, cells, dict(record["environment"])
    except (ArgumentError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{file} is damaged: {error}") from error


def free_folder(parent: Path, name: str) -> Path:
    """A folder that does not exist yet: `name`, `name-2`, `name-3`, ..."""
    path, number = parent / name, 1
    while path.exists():
        number += 1
        path = parent / f"{name}-{number}"
    return path
