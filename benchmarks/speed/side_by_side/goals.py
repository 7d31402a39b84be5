"""The figures that were set as goals, by row."""

from __future__ import annotations

from benchmarks.speed.side_by_side.lineup import ACTIVE, TORCH
from benchmarks.speed.side_by_side.row import Goal, Outcomes

GIB = 2**30


def _ours(outcomes: Outcomes) -> str:
    return next(iter(outcomes))


def within_cpu(seconds: float) -> Goal:
    """At most so many processor seconds."""

    def met(outcomes: Outcomes) -> bool | None:
        first = outcomes[_ours(outcomes)]
        return first.cpu <= seconds if first.finished else None

    return Goal(f"≤ {seconds:g} CPU s", met)


def within_wall(seconds: float) -> Goal:
    """At most so many wall seconds."""

    def met(outcomes: Outcomes) -> bool | None:
        first = outcomes[_ours(outcomes)]
        return first.wall <= seconds if first.finished else None

    return Goal(f"≤ {seconds:g} s", met)


def within_bytes(limit: int) -> Goal:
    """At most so much memory."""

    def met(outcomes: Outcomes) -> bool | None:
        first = outcomes[_ours(outcomes)]
        return first.peak_bytes <= limit if first.finished else None

    return Goal(f"≤ {limit / GIB:g} GiB", met)


def within_objective(bound: float) -> Goal:
    """An objective of at most so much, where smaller is better."""

    def met(outcomes: Outcomes) -> bool | None:
        first = outcomes[_ours(outcomes)]
        return first.objective <= bound if first.finished else None

    return Goal(f"objective ≤ {bound:g}", met)


def times_theirs(peer: str, most: float) -> Goal:
    """At most so many times the processor seconds of another contestant."""

    def met(outcomes: Outcomes) -> bool | None:
        first, other = outcomes[_ours(outcomes)], outcomes.get(peer)
        if other is None or not (first.finished and other.finished):
            return None
        return first.cpu <= most * other.cpu

    words = f"≤ {most:g} × {peer}" if most >= 1 else f"{1 / most:g} × faster than {peer}"
    return Goal(words, met)


def near(peer: str, share: float) -> Goal:
    """An objective no more than so much worse than another contestant's, smaller being better."""

    def met(outcomes: Outcomes) -> bool | None:
        first, other = outcomes[_ours(outcomes)], outcomes.get(peer)
        if other is None or not (first.finished and other.finished):
            return None
        return first.objective <= (1 + share) * other.objective

    return Goal(f"objective within {100 * share:g} % of {peer}", met)


GOALS: dict[str, tuple[Goal, ...]] = {
    "k-center-50k-64-5000-clustered": (within_cpu(0.5),),
    "k-center-1m": (within_cpu(5),),
    "facility-location-5k-64-500-clustered": (within_cpu(0.5),),
    "facility-location-graph-20k-64-2000-clustered": (
        within_cpu(0.8),
        near("ours, exact", 0.001),
    ),
    "facility-location-1m": (within_wall(360), within_bytes(8 * GIB)),
    "herding-50k-64-5000-clustered": (within_cpu(2),),
    "k-means-plus-plus-20k-64-2000-clustered": (within_cpu(1),),
    "gradient-matching-5k-64-200": (within_cpu(1.5), within_objective(0.03)),
    "gradient-products": (times_theirs("forward and backward", 3),),
}


def goals_of(name: str, task: str, data: str) -> tuple[Goal, ...]:
    """Find the goals of a row.

    Args:
        name: The row's.
        task: Its task.
        data: Kind of its data.

    Returns:
        The goals, those that hold for many rows included.
    """
    found = GOALS.get(name, ())
    if task == "k-center" and data == "unstructured":
        found += (times_theirs(TORCH, 1.2),)
    if task in ("max-herding", "prob-cover"):
        found += (times_theirs(ACTIVE, 0.1),)
    return found
