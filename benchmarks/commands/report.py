"""`clcore report`: the page of one run, or of several side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.commands.sentences import one_sentence


def report(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders of finished runs.", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="File to write.  [default: report.html in the run, or comparison.html]"),
    ] = None,
) -> None:
    """Write report.html for a run, or one page that compares several."""
    with one_sentence():
        from benchmarks.commands.progress import console
        from benchmarks.reporting.html import compare, write_report
        from benchmarks.reporting.results import read_any_results
        from benchmarks.running.failures import disk_errors
        from benchmarks.running.kind import kind_of

        with disk_errors(out or runs[0]):
            if len(runs) == 1:
                written = write_report(runs[0], out)
            else:
                written = compare(runs, out or Path("comparison.html"))
        for run in runs:
            results = read_any_results(run)
            console().print(kind_of(results.kind).console_table(results))
        typer.echo(f"report: {written}")
