"""`clcore select`: a coreset of the rows of a features file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.commands.sentences import one_sentence


def select(
    features: Annotated[
        Path,
        typer.Argument(help="Rows of features: .npy, .npz, .safetensors, .parquet, .csv."),
    ],
    method: Annotated[str, typer.Option(help="A selector (see `clcore list selectors`).")],
    k: Annotated[str, typer.Option("-k", help="How many rows, or which share: 100 or 0.1.")],
    out: Annotated[Path, typer.Option(help="Result: .json, .csv or .parquet.")] = Path(
        "coreset.json"
    ),
    key: Annotated[
        str, typer.Option(help="Name of the features in a .npz or .safetensors file.")
    ] = "features",
    labels: Annotated[
        str | None,
        typer.Option(help="Name of the labels in the same file; the share is then kept by label."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    options: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, an option of the selector.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out.")] = False,
) -> None:
    """Choose k rows of a features file; writes their numbers (from 0), weights and gains."""
    with one_sentence():
        import torch

        from benchmarks.commands.tables import check_target, read_features, write_coreset
        from benchmarks.settings import read_value
        from clcore import Pool
        from clcore import select as choose
        from clcore.errors import ArgumentError
        from clcore.quotas import fair_shares

        check_target(out, overwrite=overwrite)
        arrays = read_features(features, key, labels)
        pool = Pool(**arrays)
        wanted = _count(k, len(pool))
        quotas = None
        if labels is not None:
            found, sizes = torch.unique(arrays["labels"], return_counts=True)
            shares = fair_shares(wanted, sizes.tolist())
            quotas = dict(zip(found.tolist(), shares, strict=True))
        given: dict[str, Any] = {}
        for option in options or []:
            name, equals, value = option.partition("=")
            if not equals:
                raise ArgumentError(f"--set: got {option!r}; key=value is needed")
            given[name.strip().replace("-", "_")] = read_value(value)
        coreset = choose(method, pool, wanted, seed=seed, quotas=quotas, **given)
        record = {
            "method": method,
            "options": given,
            "seed": seed,
            "rows": len(pool),
            "source": features.name,
        }
        write_coreset(out, coreset, record)
        typer.echo(
            f"{len(coreset.indices)} of {len(pool)} rows in {coreset.cost.seconds:.2f} s: {out}"
        )


def _count(text: str, rows: int) -> int:
    """How many rows `-k` means: a whole number, or a share with a point."""
    from clcore.errors import ArgumentError

    problem = ArgumentError(
        f"-k: got {text!r}; a number of rows from 1 to {rows}, or a share above 0 and up to 1 "
        "written with a point, is needed"
    )
    try:
        value = float(text)
    except ValueError:
        raise problem from None
    if "." in text or "e" in text.lower():
        if not 0 < value <= 1:
            raise problem
        return max(1, round(value * rows))
    if not 1 <= value <= rows:
        raise problem
    return int(value)
