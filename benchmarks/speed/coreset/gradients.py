"""Errors of a coreset's gradient in convex training, at the start and where training ends.

The problem and its division are those of the suite `covtype-craig`: logistic regression on
Covertype. Besides the error of the sum of gradients at w = 0 and at the optimum, each coreset's own
optimum is found by Newton's method: how far its loss on all rows is above the least is what
training on the coreset alone can't get below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from benchmarks import suites
from benchmarks.offline.convex import make_problem
from benchmarks.offline.convex_data import build_convex_data
from benchmarks.offline.suite import OfflineSuite
from benchmarks.settings import derived_seed
from benchmarks.speed.coreset.selectors import chosen_count
from benchmarks.speed.coreset.settings import CoresetTrainingSettings
from benchmarks.speed.figures import Column, Table, digits, seconds
from benchmarks.speed.repeats import Spread, paired
from clcore.coreset import Coreset
from clcore.errors import ArgumentError
from clcore.selectors import registry
from strategies.offline.convex import (
    LogisticRegression,
    Optimum,
    Problem,
    feature_bound,
    gradient_error,
    leverage_sample,
    optimum,
)

SUITE = "covtype-craig"
_CERTIFIED = ("craig", "kd-tree")
_BATCH = 1000
"""Rows of a batch of `gradmatch-per-batch`."""

Choose = Callable[[Problem, int, int], Coreset]


def gradients(settings: CoresetTrainingSettings) -> Iterator[Table]:
    """Choose by each method, and measure what its gradient leaves out.

    Yields:
        One table.

    Raises:
        DataUnavailableError: Covertype is not in the cache.
        ArgumentError: There are not so many rows.
    """
    suite = suites.find(SUITE)
    assert isinstance(suite, OfflineSuite)
    if settings.convex_rows is not None:
        suite = replace(suite, train_rows=settings.convex_rows)
    try:
        problem = make_problem(suite, build_convex_data(suite, settings.seed))
    except ArgumentError as error:
        raise ArgumentError(str(error).replace("train_rows", "convex_rows")) from error
    best = optimum(problem)
    k = chosen_count(settings.share, len(problem))
    few = min(settings.gradmatch_picks, k)
    small = problem.subset(torch.arange(min(2_000, len(problem))))
    lines = []
    for name, choose in _methods().items():
        count = few if name == "gradmatch" else k
        choose(small, min(count, 20), 0)  # its loops are compiled
        randomised = name in ("random", "leverage", "gradmatch-per-batch")
        repeats = settings.repeats if randomised else 1
        seeds = [derived_seed(settings.seed, f"{name} {repeat}") for repeat in range(repeats)]
        lines.append(_measured(name, choose, problem, best, count, seeds))
    yield Table(
        "gradients",
        f"Error of the sum of gradients in logistic regression, {k:,} of {len(problem):,} rows of "
        f"Covertype; drawn ones {settings.repeats} times: median (quartiles)",
        (
            Column("rows", "rows"),
            Column("picks", "picks", digits(0)),
            Column("seconds", "CPU seconds", seconds),
            Column("start", "error at w = 0", digits(0)),
            Column("end", "at the optimum", digits(0)),
            Column("certified", "certified at w = 0", digits(0)),
            Column("own", "own optimum", _power),
        ),
        lines,
        (
            f"Newton's method: least loss {best.loss:.6f} after {best.iterations} iterations. *Own "
            "optimum* is the loss on all rows where the coreset's own optimum lies, less that.",
        ),
    )


def _measured(
    name: str, choose: Choose, problem: Problem, best: Optimum, k: int, seeds: list[int]
) -> dict[str, Any]:
    found: list[Coreset] = []
    remaining = iter(seeds)
    timings = paired(
        {name: lambda: found.append(choose(problem, k, next(remaining)))},
        rounds=len(seeds),
        warm=False,
    )
    zeros = problem.zeros()
    line: dict[str, Any] = {
        "rows": f"`{name}`",
        "picks": k,
        "seconds": timings.spread(name),
        "start": Spread.of(gradient_error(problem, each, zeros).absolute for each in found),
        "end": Spread.of(gradient_error(problem, each, best.w).absolute for each in found),
    }
    if name in _CERTIFIED and isinstance(problem, LogisticRegression):
        line["certified"] = feature_bound(problem, found[0], zeros)
    if name != "gradmatch":
        line["own"] = Spread.of(
            problem.loss(optimum(problem.subset(each)).w) - best.loss for each in found
        )
    return line


def _methods() -> dict[str, Choose]:
    """How rows are chosen, by name."""
    return {
        "random": _random,
        "leverage": lambda problem, k, seed: leverage_sample(problem, k, seed=seed),
        "gradmatch": _by_selector("gradmatch"),
        "gradmatch-per-batch": _by_selector("gradmatch-per-batch", batch=_BATCH),
        "craig": _by_selector("craig", gradients="features"),
        "kd-tree": _by_selector("kd-tree", gradients="features"),
    }


def _by_selector(name: str, **options: Any) -> Choose:
    selector = registry.create(name, **options)

    def choose(problem: Problem, k: int, seed: int) -> Coreset:
        w: Tensor | None = problem.zeros() if "logit_gradients" in selector.signals else None
        generator = torch.Generator().manual_seed(seed)
        return selector.select(problem.pool(w), k, generator=generator)

    return choose


def _random(problem: Problem, k: int, seed: int) -> Coreset:
    """Random rows, each standing for n / k."""
    generator = torch.Generator().manual_seed(seed)
    picks = torch.randperm(len(problem), generator=generator)[:k]
    return Coreset.of(picks, weights=torch.full((k,), len(problem) / k, dtype=torch.float64))


def _power(value: Any) -> str:
    def write(number: float) -> str:
        return f"{number:.1e}".replace("e-0", "e-").replace("e+0", "e+")

    if value.repeats == 1:
        return write(value.median)
    return f"{write(value.median)} ({write(value.low)} to {write(value.high)})"
