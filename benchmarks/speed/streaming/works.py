"""The selections that are timed, by name, and plain reading as a measure for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from benchmarks.speed.streaming.settings import OutOfCoreSettings
from clcore import Pool
from clcore.distributed import Group, Shards, select_farthest, select_partitioned
from clcore.selectors import registry

Run = Callable[[Shards, Group, OutOfCoreSettings], Mapping[str, float]]

READING = "reading"


@dataclass(frozen=True)
class Work:
    """One of the works.

    Attributes:
        words: As in the table; formatted with the settings.
        run: Does it in one process of the group; returns what the report says.
        alone: Whether it is done by one process that holds all rows in memory.
    """

    words: str
    run: Run
    alone: bool = False


def _reading(shards: Shards, group: Group, settings: OutOfCoreSettings) -> dict[str, float]:
    """Read all rows once and sum them up: the least that any selection has to do."""

    def work() -> dict[str, torch.Tensor]:
        total = torch.zeros(settings.columns, dtype=torch.float64)
        for start, stop in shards.parts(group.rank, group.size, settings.part_rows):
            total += shards.pool(start, stop).signal("features").sum(0).double()
        return {"total": total}

    group.exchange(work)
    return {}


def _farthest(*, exact: bool) -> Run:
    def run(shards: Shards, group: Group, settings: OutOfCoreSettings) -> dict[str, float]:
        found = select_farthest(
            shards, settings.picks, exact=exact, part_rows=settings.part_rows, group=group
        )
        return dict(found.report)

    return run


def _tree(shards: Shards, group: Group, settings: OutOfCoreSettings) -> dict[str, float]:
    found = select_partitioned(
        "kd-tree",
        shards,
        settings.tree_picks,
        per_part=settings.per_part,
        part_rows=settings.part_rows,
        group=group,
        gradients="features",
        per_label=False,
    )
    return dict(found.report)


def _craig(*, exact: bool) -> Run:
    def run(shards: Shards, group: Group, settings: OutOfCoreSettings) -> dict[str, float]:
        found = select_partitioned(
            "craig",
            shards,
            settings.picks,
            first=registry.create("kd-tree", gradients="features", per_label=False, carry=False),
            per_part=settings.per_part,
            part_rows=settings.part_rows,
            exact=exact,
            group=group,
            gradients="features",
            per_label=False,
        )
        return dict(found.report)

    return run


def _in_memory(shards: Shards, group: Group, settings: OutOfCoreSettings) -> dict[str, float]:
    """Choose as one would who can hold all rows."""
    rows: Pool = shards.pool(0, len(shards))
    selector = registry.create("kd-tree", gradients="features", per_label=False)
    generator = torch.Generator().manual_seed(0)
    return dict(selector.select(rows, settings.tree_picks, generator=generator).report)


WORKS: dict[str, Work] = {
    READING: Work("reading alone", _reading),
    "farthest": Work("`select_farthest`, {picks:,} picks", _farthest(exact=False)),
    "farthest-exact": Work("the same, `exact=True`", _farthest(exact=True)),
    "kd-tree": Work("`kd-tree`, {tree_picks:,} picks, {per_part:,} a part", _tree),
    "craig": Work("`craig` after `kd-tree` (`carry=False`), {picks:,} picks", _craig(exact=False)),
    "craig-exact": Work("the same, `exact=True`", _craig(exact=True)),
    "in-memory": Work("`kd-tree`, one process, all rows in memory", _in_memory, alone=True),
}
"""By name, in the order of the table; plain reading first."""


def left(report: Mapping[str, float], rows: int) -> str | None:
    """Say in words what a selection left, from its report.

    Args:
        report: Of the coreset.
        rows: How many rows there are; errors are given for one.

    Returns:
        Such as `"radius 18.4"`; None where the report says nothing of it.
    """
    if "radius" in report:
        return f"radius {report['radius']:.1f}"
    if "radius_bound" in report:
        return f"radius at most {report['radius_bound']:.1f}"
    if "error_bound" in report:
        return f"error at most {report['error_bound'] / rows:.1f} a row"
    return None
