"""All rows by name: the full product of sizes, and which of them run when none is named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.speed.side_by_side.goals import goals_of
from benchmarks.speed.side_by_side.lineup import (
    ACTIVE,
    LINEUP,
    NEIGHBOURS,
    PAM,
    SUBMODLIB,
    ours,
)
from benchmarks.speed.side_by_side.row import Contestant, Row
from clcore.errors import UnknownNameError

SIZES = {"5k": 5_000, "20k": 20_000, "50k": 50_000}
DIMENSIONS = (64, 512)
SHARES = (0.01, 0.1)
DATA = ("clustered", "unstructured")

TASKS_ON_FEATURES = (
    "k-center",
    "facility-location",
    "facility-location-graph",
    "max-herding",
    "prob-cover",
    "herding",
    "k-means-plus-plus",
    "k-means",
    "dpp",
    "graph-cut",
)
"""Tasks that the whole product of sizes and data is defined for."""

RADII = {
    ("clustered", 64): 9.0,
    ("clustered", 512): 27.0,
    ("unstructured", 64): 8.5,
    ("unstructured", 512): 29.5,
}
"""ProbCover's radius: what covers between a third and all of the rows with 1 to 10 % of them."""


def _options(task: str, data: str, d: int) -> dict[str, Any]:
    """Return what the objective of a task needs."""
    if task == "max-herding":
        return {"bandwidth": 1.0, "normalise": True}  # the paper's kernel
    if task == "prob-cover":
        return {"radius": RADII[data, d]}
    if task == "facility-location-graph":
        return {"neighbours": NEIGHBOURS}
    if task in ("dpp", "graph-cut"):
        return {"bandwidth": RADII[data, d], "ridge": 0.1, "coverage": 1.0}
    return {}


def _row(
    name: str,
    task: str,
    data: str,
    size: tuple[int, int, int],
    contestants: Sequence[Contestant] | None = None,
    **more: Any,
) -> Row:
    n, d, k = size
    return Row(
        name,
        task,
        data,
        n,
        d,
        k,
        tuple(contestants or LINEUP[task]),
        goals=goals_of(name, task, data),
        **more,
    )


def _product() -> Iterable[Row]:
    """Yield each task at each size on each kind of data."""
    for task in TASKS_ON_FEATURES:
        for label, n in SIZES.items():
            for d in DIMENSIONS:
                for k in (round(share * n) for share in SHARES):
                    for data in DATA:
                        name = f"{task}-{label}-{d}-{k}-{data}"
                        options = _options(task, data, d)
                        yield _row(name, task, data, (n, d, k), options=options)
        for k in (64, 128):
            options = _options(task, "clustered", 64)
            yield _row(f"{task}-minibatch-{k}", task, "clustered", (512, 64, k), options=options)


def _gradients() -> Iterable[Row]:
    """Yield the rows on last-layer gradients of 10 × 65 numbers."""
    for k in (50, 100, 200):
        name = f"gradient-matching-5k-64-{k}"
        yield _row(name, "gradient-matching", "gradients", (5_000, 64, k))
    yield _row("feature-based-5k-64-500", "feature-based", "gradients", (5_000, 64, 500))


def _alone() -> Iterable[Row]:
    """Yield the rows that run only when their whole name is given."""
    yield _row(
        "k-center-1m",
        "k-center",
        "clustered",
        (1_000_000, 64, 1_000),
        LINEUP["k-center"][:2],
        limit=600,
    )
    yield _row(
        "facility-location-1m",
        "facility-location-graph",
        "clustered",
        (1_000_000, 64, 10_000),
        (LINEUP["facility-location-graph"][0], ours("random", "random picks")),
        options={"evaluate_on": 50_000},
        threads=2,
        limit=1_800,
    )
    yield _row("gradient-products", "gradient-products", "pictures", (100, 784, 0))


ALONE = frozenset(row.name for row in _alone())
ROWS: Mapping[str, Row] = {
    row.name: row for make in (_product, _gradients, _alone) for row in make()
}

# Rows that run when none is named, and whom each leaves out, so that a run ends within its minutes:
# contestants that would be stopped at the limit, or take most of the time and teach little.
_NATIVE = "apricot, own similarities"
_SPARSE = f"apricot, {NEIGHBOURS} neighbours"
FULL: Mapping[str, tuple[str, ...]] = {
    "k-center-minibatch-64": (),
    "k-center-minibatch-128": (),
    "k-center-5k-64-500-clustered": (),
    "k-center-20k-64-2000-clustered": (),
    "k-center-20k-64-2000-unstructured": (),
    "k-center-20k-512-200-clustered": (),
    "k-center-5k-512-500-unstructured": (),
    "k-center-50k-64-500-clustered": (),
    "k-center-50k-64-500-unstructured": (),
    "k-center-50k-64-5000-clustered": (),
    "facility-location-minibatch-64": (),
    "facility-location-minibatch-128": (),
    "facility-location-5k-64-50-clustered": (),
    "facility-location-5k-64-500-clustered": (),
    "facility-location-5k-64-500-unstructured": (),
    "facility-location-5k-512-500-clustered": (),
    "facility-location-20k-64-200-clustered": (_NATIVE, SUBMODLIB),
    "facility-location-graph-20k-64-200-clustered": (_SPARSE, PAM),
    "facility-location-graph-20k-64-2000-clustered": (_SPARSE,),
    "facility-location-graph-20k-64-2000-unstructured": (_SPARSE, PAM),
    "facility-location-graph-20k-512-2000-clustered": ("ours, exact", _SPARSE, PAM),
    "facility-location-graph-50k-64-500-clustered": ("ours, exact", _SPARSE),
    "facility-location-graph-50k-64-5000-clustered": ("ours, exact", _SPARSE),
    "max-herding-minibatch-64": (),
    "max-herding-5k-64-50-clustered": (),
    "max-herding-5k-64-500-clustered": (),
    "max-herding-5k-512-50-unstructured": (),
    "max-herding-20k-64-200-clustered": (SUBMODLIB, ACTIVE),
    "prob-cover-minibatch-64": (),
    "prob-cover-5k-64-50-clustered": (),
    "prob-cover-5k-64-500-clustered": (),
    "prob-cover-20k-64-200-clustered": (SUBMODLIB, ACTIVE),
    "herding-minibatch-64": (),
    "herding-5k-64-500-clustered": (),
    "herding-20k-64-2000-unstructured": (),
    "herding-20k-512-2000-clustered": (),
    "herding-50k-64-5000-clustered": (),
    "k-means-plus-plus-minibatch-64": (),
    "k-means-plus-plus-5k-64-500-clustered": (),
    "k-means-plus-plus-20k-64-2000-clustered": (),
    "k-means-plus-plus-20k-64-2000-unstructured": (),
    "k-means-plus-plus-20k-512-200-clustered": (),
    "k-means-20k-64-200-clustered": (),
    "gradient-matching-5k-64-50": (),
    "gradient-matching-5k-64-200": (),
    "dpp-5k-64-50-clustered": (),
    "graph-cut-5k-64-500-clustered": (),
    "feature-based-5k-64-500": (),
}
QUICK: Mapping[str, tuple[str, ...]] = {
    "k-center-minibatch-64": (),
    "k-center-20k-64-2000-clustered": (),
    "k-center-20k-64-2000-unstructured": (ACTIVE,),
    "facility-location-minibatch-64": (_NATIVE,),
    "facility-location-5k-64-500-clustered": (_NATIVE,),
    "facility-location-graph-20k-64-2000-clustered": ("ours, exact", _SPARSE, PAM),
    "max-herding-5k-64-50-clustered": (),
    "prob-cover-5k-64-50-clustered": (),
    "herding-20k-64-2000-unstructured": (),
    "k-means-plus-plus-20k-64-2000-clustered": (),
    "gradient-matching-5k-64-50": (),
}


def chosen(patterns: Sequence[str], *, quick: bool) -> tuple[list[Row], dict[str, frozenset[str]]]:
    """Choose the rows to run.

    Args:
        patterns: Whole names, beginnings of names, or parts of names: the first of the three that
            finds anything holds. None: the default list. The rows that take longest are found by
            their whole name alone.
        quick: Only rows of the quick list.

    Returns:
        The rows, and by row the contestants that are left out of it: none where rows were named.

    Raises:
        UnknownNameError: If a pattern is in no name; suggests the nearest.
    """
    listed = QUICK if quick else FULL
    if not patterns:
        left_out = {name: frozenset(names) for name, names in listed.items()}
        return [ROWS[name] for name in listed], left_out
    names = [name for name in ROWS if name in listed] if quick else list(ROWS)
    found: dict[str, Row] = {}
    for pattern in patterns:
        matches = _matches(pattern, names)
        if not matches:
            raise UnknownNameError("speed row", pattern, [*listed, *ALONE])
        found.update({name: ROWS[name] for name in matches})
    return list(found.values()), {}


def _matches(pattern: str, names: Sequence[str]) -> list[str]:
    """Find names: `herding` shall not mean `max-herding` too."""
    if pattern in names:
        return [pattern]
    many = [name for name in names if name not in ALONE]
    beginnings = [name for name in many if name.startswith(pattern)]
    return beginnings or [name for name in many if pattern in name]
