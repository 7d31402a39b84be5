"""scikit-activeml: the query strategies that choose by coverage."""

from __future__ import annotations

from typing import Any

import numpy as np
from skactiveml.pool import CoreSet, MaxHerding, ProbCover

from benchmarks.speed.contestants.loops import start
from benchmarks.speed.side_by_side.problem import Answer, Problem


def core_set(problem: Problem) -> Answer:
    """Farthest-first from the row nearest to the mean, which counts as labelled."""
    first = start(problem.features)
    labels = _unlabelled(problem)
    labels[first] = 0
    strategy = CoreSet(random_state=problem.seed)
    picks = strategy.query(problem.features, labels, batch_size=problem.k - 1)
    return Answer.of([first, *picks])


def max_herding(problem: Problem) -> Answer:
    """MaxHerding with the row's kernel."""
    strategy = MaxHerding(
        normalize_samples=bool(problem.options["normalise"]),
        metric="rbf",
        metric_dict={"gamma": problem.options["bandwidth"] ** -2},
        random_state=problem.seed,
    )
    return _query(strategy, problem)


def prob_cover(problem: Problem) -> Answer:
    """ProbCover with a radius that is given, so that it searches for none."""
    strategy = ProbCover(deltas=[problem.options["radius"]], random_state=problem.seed)
    return _query(strategy, problem)


def _unlabelled(problem: Problem) -> Any:
    return np.full(len(problem.features), np.nan)


def _query(strategy: Any, problem: Problem) -> Answer:
    return Answer.of(strategy.query(problem.features, _unlabelled(problem), batch_size=problem.k))
