"""`clcore methods`: the page on all methods, made from results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.commands.sentences import one_sentence


def methods(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Folders of finished runs, one a suite.", show_default=False),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Markdown file whose table is replaced, or a new one."),
    ] = None,
) -> None:
    """Show all methods: when each helps, what it costs, what it was checked against."""
    with one_sentence():
        from benchmarks.reporting import read_results
        from benchmarks.reporting.methods_page import methods_table, write_table
        from benchmarks.running.failures import disk_errors

        table = methods_table([read_results(run) for run in runs])
        if out is None:
            typer.echo(table)
            return
        with disk_errors(out):
            write_table(out, table)
        typer.echo(f"table: {out}")
