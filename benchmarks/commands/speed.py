"""`clcore speed`: how fast we are, side by side with what users have today."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.commands.sentences import one_sentence


def speed(
    group: Annotated[str, typer.Argument(help="What to measure.")] = "buffers",
    out: Annotated[Path | None, typer.Option(help="JSON file for the figures.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out what takes minutes.")] = False,
) -> None:
    """Measure speed as ratios to peers, timed in turn in one process."""
    with one_sentence():
        status: int = importlib.import_module("benchmarks.speed").run(
            group, out, quick=quick, show=typer.echo
        )
    raise typer.Exit(status)
