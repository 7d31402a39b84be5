"""The summary run of a suite on wandb: one table across all methods, and the results as files."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import wandb

from benchmarks.reporting import wandb_keys as keys
from benchmarks.reporting.aggregate import Spread, aggregate
from benchmarks.reporting.gather import Source, open_sources
from benchmarks.reporting.results import BaseResults, Results
from benchmarks.reporting.wandb_mode import Mode
from benchmarks.reporting.wandb_run import (
    Fed,
    fed_of,
    is_wandb_failure,
    remove_earlier,
    staging,
    start_run,
)
from benchmarks.running.kind import kind_of

logger = logging.getLogger(__name__)

NUMBERS = (
    "final_accuracy",
    "average_accuracy",
    "average_forgetting",
    "backward_transfer",
    "learning_accuracy",
    "seconds_train",
    "seconds_select",
    "passes",
    "selection_passes",
    "memory_bytes",
)
"""Numbers of a method; each has a column for its mean and one for its deviation."""


def methods_table(sources: Sequence[Source[BaseResults]]) -> wandb.Table:
    """Methods × mean and standard deviation.

    Args:
        sources: Run folders of one kind of suite, from `gather.open_sources`.

    Returns:
        A table with numeric columns, so that wandb can sort by them.
    """
    columns, data = kind_of(sources[0].results.kind).methods_table(sources)
    return wandb.Table(columns=list(columns), data=data)


def continual_methods(sources: Sequence[Source[Results]]) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of that table for continual suites.

    Args:
        sources: Run folders.
    """
    columns = ["run", "method", "memory_size", "seeds"]
    columns += [f"{name}{part}" for name in NUMBERS for part in ("", "_std")]
    data: list[list[Any]] = []
    for source in sources:
        for summary in aggregate(source.results.runs):
            line: list[Any] = [source.label, summary.method, summary.memory_size]
            line.append(len(summary.seeds))
            for name in NUMBERS:
                spread: Spread = getattr(summary, name)
                line += [float(spread.mean), spread.std]
            data.append(line)
    return columns, data


def summary(
    *paths: str | os.PathLike[str],
    mode: Mode,
    project: str = "clcore",
    wandb_dir: str | os.PathLike[str] | None = None,
) -> Fed | None:
    """Make the summary run (job type `summary`) of one or several run folders.

    Args:
        *paths: Run folders, or `results.json` files in them.
        mode: `"online"`, `"offline"` or `"disabled"`.
        project: wandb project.
        wandb_dir: Folder in which wandb makes its `wandb` folder; the first run folder by default.

    Returns:
        Where it went, or None where wandb failed (which is logged).

    Raises:
        ArgumentError: No folder given, or the same one twice.
        FormatError: A folder has no readable results.
    """
    sources = open_sources(paths)
    first = sources[0].results
    folder = Path(wandb_dir) if wandb_dir is not None else sources[0].folder
    settings = {source.label: source.results.settings for source in sources}
    identity = keys.plain(f"{first.suite}-summary-{keys.settings_hash(settings)}")
    if mode == "disabled":
        return Fed(identity, mode, None, None)
    remove_earlier(folder, identity)
    try:
        with staging(folder / "wandb" / "staged" / identity):
            run, mode = start_run(
                mode,
                folder,
                id=identity,
                name=f"summary of {first.suite}",
                project=project,
                group=first.suite,
                job_type="summary",
                config={"suite": first.suite, "kind": first.kind, "settings": settings,
                        "environment": first.environment},
                tags=[first.suite[:64], "summary"],
            )  # fmt: skip
            run.log({"summary/methods": methods_table(sources)})
            for source in sources:
                run.log_artifact(_results_artifact(source))
            fed = fed_of(run, mode)
            run.finish()
            return fed
    except Exception as error:
        if not is_wandb_failure(error):
            raise
        logger.warning("wandb: %s; the results themselves are safe in %s", error, folder)
        return None


def _results_artifact(source: Source[BaseResults]) -> wandb.Artifact:
    name = keys.plain(f"results-{source.results.suite}")
    artifact = wandb.Artifact(name, type="results", metadata={"run": source.label})
    for file in ("results.json", "table.md", "report.html"):
        if (source.folder / file).is_file():
            artifact.add_file(str(source.folder / file))
    return artifact
