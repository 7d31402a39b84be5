"""`clcore select`: a coreset of the rows of a features file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from benchmarks.commands.selecting.request import Projection, Request
from benchmarks.commands.sentences import INTERRUPTED, WRONG_USE, one_sentence

if TYPE_CHECKING:
    from benchmarks.commands.selecting.summary import Summary

_OWN = "; a name in FEATURES, a file, or FILE:NAME."


def select(
    features: Annotated[
        Path,
        typer.Argument(
            help="Rows of features: .npy, .npz, .parquet, .safetensors, .csv, or a folder."
        ),
    ],
    method: Annotated[str, typer.Option(help="A selector (see `clcore list selectors`).")],
    k: Annotated[str, typer.Option("-k", help="How many rows, or which share: 100, 0.01, 1%.")],
    out: Annotated[Path, typer.Option(help="Result: .csv, .parquet or .json.")] = Path(
        "coreset.json"
    ),
    key: Annotated[
        str, typer.Option(help="Name of the features in the file; of columns: a,b,c.")
    ] = "features",
    labels: Annotated[str | None, typer.Option(help=f"Labels{_OWN}")] = None,
    groups: Annotated[str | None, typer.Option(help=f"Task, source or domain{_OWN}")] = None,
    weights: Annotated[str | None, typer.Option(help=f"How much each row counts{_OWN}")] = None,
    signal: Annotated[
        list[str] | None,
        typer.Option(help="name=NAME or name=FILE: logits, losses, scores, costs, …"),
    ] = None,
    given: Annotated[
        Path | None, typer.Option(help="Rows taken already: row numbers, or an earlier result.")
    ] = None,
    quota: Annotated[
        str | None,
        typer.Option(help="Most picks per label: even, proportional, 50, or 3=10,5=20."),
    ] = None,
    quota_by: Annotated[str | None, typer.Option(help="labels or groups.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    options: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, an option of the selector.")
    ] = None,
    weights_out: Annotated[
        Path | None, typer.Option(help="A weight for every row, 0 if not chosen: .npy.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Picture of what was chosen: .png, .pdf, .svg, .html.")
    ] = None,
    projection: Annotated[str, typer.Option(help="Of the picture: pca, tsne or umap.")] = "pca",
    summary: Annotated[
        bool, typer.Option("--summary/--no-summary", help="Distances, labels, weights.")
    ] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what exists.")] = False,
) -> None:
    """Choose k rows of a features file; writes their numbers (from 0), weights and gains."""
    with one_sentence():
        from clcore.errors import ArgumentError

        kinds = {kind: kind for kind in get_args(Projection)}
        if projection not in kinds:
            raise ArgumentError(f"--projection: got {projection!r}; {', '.join(kinds)} are known")
        request = Request(
            features=features,
            method=method,
            k=k,
            out=out,
            key=key,
            labels=labels,
            groups=groups,
            weights=weights,
            signals=tuple(signal or ()),
            given=given,
            quota=quota,
            quota_by=quota_by,
            options=tuple(options or ()),
            seed=seed,
            weights_out=weights_out,
            plot=plot,
            projection=kinds[projection],
            summary=summary,
            overwrite=overwrite,
        )
        found = _execute(request)
    if found is not None:
        from benchmarks.commands.progress import console

        found.show(console())


def _execute(request: Request) -> Summary | None:
    from benchmarks.commands.selecting.stages import Stages
    from benchmarks.commands.selecting.work import execute
    from benchmarks.running.signals import termination_as_interrupt
    from clcore.errors import NotEnoughMemoryError

    stages = Stages()
    written: list[str] = []

    def say(sentence: str) -> None:
        written.append(sentence)
        typer.echo(sentence)

    try:
        with termination_as_interrupt():
            return execute(request, say, stages)
    except NotEnoughMemoryError as error:
        typer.echo(f"clcore: {error}", err=True)
        raise typer.Exit(WRONG_USE) from error
    except KeyboardInterrupt:
        what = f"{request.out} is written" if written else "nothing was written"
        typer.echo(f"\nStopped; {what}.", err=True)
        if stages.left_running:
            # A kernel that can't be told to end would be waited for, or torn down half-way.
            sys.stdout.flush()
            os._exit(INTERRUPTED)
        raise typer.Exit(INTERRUPTED) from None
