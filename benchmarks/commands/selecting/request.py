"""What was asked for on the command line, as it was written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Projection = Literal["pca", "tsne", "umap"]


@dataclass(frozen=True)
class Request:
    """One call of `clcore select`; the options of the command by their names.

    Attributes:
        features: File or folder of the rows.
        method: Name of the selector.
        k: A number or a share, as text.
        out: Where the picks go.
        key: Name of the features in the file.
        labels: Name in the file, or a file of its own (`FILE` or `FILE:NAME`); None for none.
        groups: As `labels`.
        weights: As `labels`: how much each row counts.
        signals: Further signals, `name=NAME-OR-FILE`.
        given: File of the rows taken already.
        quota: `even`, `proportional`, one number for all, or `3=10,5=20`.
        quota_by: `labels` or `groups`; None where only one of them is given.
        options: `key=value`, options of the selector.
        seed: Seed of the randomness.
        weights_out: `.npy` for a weight per row of the pool.
        plot: Picture to draw.
        projection: How the picture brings rows into the plane.
        summary: Whether to compute and print the summary.
        overwrite: Whether files that exist are replaced.
    """

    features: Path
    method: str
    k: str
    out: Path
    key: str = "features"
    labels: str | None = None
    groups: str | None = None
    weights: str | None = None
    signals: tuple[str, ...] = ()
    given: Path | None = None
    quota: str | None = None
    quota_by: str | None = None
    options: tuple[str, ...] = ()
    seed: int = 0
    weights_out: Path | None = None
    plot: Path | None = None
    projection: Projection = "pca"
    summary: bool = True
    overwrite: bool = False
