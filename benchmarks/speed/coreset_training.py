"""Coreset training: what the trainer adds to a loop, and what selectors cost and leave as error.

Parts (`--set parts=...`): `overhead`, `selectors` and `gradients`; the latter two read Covertype,
`clcore data get covtype`. See docs/coreset-training.md, docs/selectors.md and docs/convex.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.speed.coreset.epochs import overhead
from benchmarks.speed.coreset.gradients import gradients
from benchmarks.speed.coreset.selectors import selectors
from benchmarks.speed.coreset.settings import CoresetTrainingSettings
from benchmarks.speed.parts import run_parts

SETTINGS = CoresetTrainingSettings()
QUICK = replace(SETTINGS, rounds=20, repeats=1, table_rows=50_000, convex_rows=20_000)


def report(
    out: Path | None = None,
    *,
    quick: bool = False,
    assignments: Sequence[str] = (),
    show: Callable[[str], None] = print,
) -> int:
    """Measure the parts and show their tables.

    Args:
        out: Where to write the figures as JSON, if wanted.
        quick: Fewer rounds, and a small part of Covertype.
        assignments: `key=value` texts of `CoresetTrainingSettings`.
        show: Called with each line of text to show.

    Returns:
        The exit status, 0.

    Raises:
        ArgumentError: A setting is wrong.
        DataUnavailableError: Only Covertype was to be measured, and it is not there.
    """
    parts = {"overhead": overhead, "selectors": selectors, "gradients": gradients}
    settings = QUICK if quick else SETTINGS
    return run_parts("coreset-training", parts, settings, assignments, out, show)
