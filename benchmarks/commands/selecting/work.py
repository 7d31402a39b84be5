"""The steps of `clcore select`: check, read, select, write, measure, draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.commands.selecting import rules
from benchmarks.commands.selecting.coverage import coverage, sample
from benchmarks.commands.selecting.gather import Candidates, gather
from benchmarks.commands.selecting.request import Request
from benchmarks.commands.selecting.stages import Stages
from benchmarks.commands.selecting.summary import Summary
from benchmarks.commands.selecting.writing import (
    PICTURES,
    TARGETS,
    check_target,
    whole_file,
    write_coreset,
    write_weights,
)
from benchmarks.speed.side_by_side.memory import PeakMemory
from clcore import Coreset, Selector, select
from clcore.errors import ArgumentError
from clcore.selector import QuotaBy
from clcore.selectors import registry


@dataclass(frozen=True)
class _Task:
    """All that a call of the engine takes."""

    method: Selector
    candidates: Candidates
    k: int
    quotas: dict[int, int] | None
    quota_by: QuotaBy
    seed: int

    def select(self, method: str | Selector | None = None, *, seed: int | None = None) -> Coreset:
        return select(
            method or self.method,
            self.candidates.pool,
            self.k,
            seed=self.seed if seed is None else seed,
            given=self.candidates.given,
            quotas=self.quotas,
            quota_by=self.quota_by,
        )


def execute(request: Request, say: Callable[[str], Any], stages: Stages) -> Summary | None:
    """Select, and write everything that was asked for.

    Args:
        request: What was asked for.
        say: Called with a sentence when the picks are written.
        stages: Shows how far it is.

    Returns:
        The summary; None where none was asked for.

    Raises:
        ClcoreError: Something is wrong; nothing is written before the selection is done.
        KeyboardInterrupt: Passed on; files are there as a whole or not at all.
    """
    check_targets(request)
    settings = rules.options(request.options)
    method = registry.create(request.method, **settings)
    rules.check_method(method, settings)
    with PeakMemory() as memory:
        needs_features = request.plot is not None or "features" in method.signals
        candidates = stages.work(
            f"reading {request.features.name}",
            lambda: gather(request, needs_features=needs_features),
        )
        rules.check_signals(method, candidates.pool)
        k = rules.count(request.k, candidates)
        quotas, quota_by = rules.quotas(request.quota, request.quota_by, candidates, k)
        task = _Task(method, candidates, k, quotas, quota_by, request.seed)
        coreset = stages.work(f"selecting {k:,} rows by {method.name}", task.select)
    pool = candidates.pool
    with stages.stage(f"writing {request.out.name}"):
        about = {
            "method": method.name,
            "options": {key: str(value) if key == "stop" else value
                        for key, value in settings.items()},
            "seed": request.seed,
            "rows": len(pool),
            "source": request.features.name,
        }  # fmt: skip
        write_coreset(request.out, coreset, about)
        if request.weights_out is not None:
            write_weights(request.weights_out, coreset, len(pool))
    say(f"{len(coreset):,} of {len(pool):,} rows in {coreset.cost.seconds:.2f} s: {request.out}")
    if not request.summary and request.plot is None:
        return None
    summary = stages.work(
        "measuring the distances", lambda: summarise(request, task, coreset, memory.bytes)
    )
    if request.plot is not None:
        _draw(request, task, summary, stages)
    return summary if request.summary else None


def check_targets(request: Request) -> None:
    """Refuse targets that can't be written, and pictures that can't be drawn, at the door."""
    targets: list[tuple[str, Path, tuple[str, ...]]] = [("--out", request.out, TARGETS)]
    if request.weights_out is not None:
        targets.append(("--weights-out", request.weights_out, (".npy",)))
    if request.plot is not None:
        targets.append(("--plot", request.plot, PICTURES))
    others = [request.features] + ([request.given] if request.given else [])
    for option, path, kinds in targets:
        check_target(option, path, kinds, overwrite=request.overwrite, inputs=tuple(others))
        others.append(path)
    if request.plot is not None:
        from benchmarks.commands.selecting.projection import check_projection

        check_projection(request.projection)


def summarise(request: Request, task: _Task, coreset: Coreset, peak_bytes: int) -> Summary:
    """Measure what was picked, beside a random choice under the same rules."""
    pool, given = task.candidates.pool, task.candidates.given
    chosen = other = None
    shape = ""
    if pool.has("features"):
        features = pool.signal("features")
        shape = " × ".join(map(str, features.shape[1:]))
        # Another seed, so that random choice is not set beside itself.
        drawn = task.select("random", seed=request.seed + 1)
        rows = sample(len(pool), len(coreset) + len(given), request.seed)
        chosen = coverage(features, torch.cat([coreset.indices, given]), rows)
        count = len(coreset)
        other = coverage(features, torch.cat([drawn.indices[:count], given]), rows)
    return Summary(
        method=task.method.name,
        rows=len(pool),
        shape=shape,
        coreset=coreset,
        given=len(given),
        peak_bytes=peak_bytes,
        chosen=chosen,
        random=other,
        labels=task.candidates.labels,
        quota=f"{request.quota} by {task.quota_by}" if request.quota else None,
    )


def _draw(request: Request, task: _Task, summary: Summary, stages: Stages) -> None:
    from benchmarks.commands.selecting.drawing import draw, save

    assert request.plot is not None  # called only with one
    if not len(summary.coreset):
        raise ArgumentError("--plot: nothing was picked")
    # Drawn by the worker, written here: what is interrupted there must not have begun a file.
    path, seed = request.plot, request.seed
    drawing = stages.work(
        f"drawing {path.name}",
        lambda: draw(summary, task.candidates, request.projection, seed=seed),
    )
    with stages.stage(f"writing {path.name}"), whole_file(path) as temporary:
        save(drawing, temporary, path.suffix.lower(), summary)
