"""kmedoids: FasterPAM, which improves a set by swaps until nothing helps."""

from __future__ import annotations

import kmedoids

from benchmarks.speed.contestants.similarities import distances
from benchmarks.speed.side_by_side.problem import Answer, Problem


def faster_pam(problem: Problem) -> Answer:
    """The set of least mean distance that swaps reach from a random one."""
    found = kmedoids.fasterpam(
        distances(problem), problem.k, init="random", random_state=problem.seed, n_cpu=1
    )
    return Answer.of(found.medoids)
