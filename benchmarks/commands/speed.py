"""`clcore speed`: how fast we are, side by side with what users have today."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.commands.sentences import one_sentence


def speed(
    group: Annotated[
        str,
        typer.Argument(
            help="What to measure: buffers, gradient-buffers for those that look at gradients, "
            "engine for the selection engine, coreset-training, out-of-core for rows on the disk, "
            "or generative for batches of generative models."
        ),
    ] = "buffers",
    out: Annotated[Path | None, typer.Option(help="JSON file for the figures.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out what takes minutes.")] = False,
    rows: Annotated[
        list[str] | None,
        typer.Option(
            help="Rows of the engine whose name contains this; may be given again. Rows outside "
            "the default list are found too; those with a million rows by their whole name.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        float | None,
        typer.Option(help="Seconds after which a contestant of the engine is stopped (120)."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="key=value, repeatable, for coreset-training, out-of-core and generative: "
            "parts=overhead, rounds=20, rows=10000000, ... (docs/speed.md).",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Measure speed as ratios to peers: same work, same data, same machine."""
    given = {"rows": rows or None, "limit": limit, "assignments": settings or None}
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    with one_sentence():
        status: int = importlib.import_module("benchmarks.speed").run(
            group, out, quick=quick, show=typer.echo, **options
        )
    raise typer.Exit(status)
