"""One contestant in a process of its own: `python -m benchmarks.speed.side_by_side.worker JOB`.

The job is a JSON file that names the contestant, the arrays and the limits; the figures are written
to the file `figures.json` and the answers to `answers.npz` beside it. A file `ready` appears once
the imports and an untimed call on a small part are over: the parent's time limit begins there.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed.side_by_side.arrays import read
from benchmarks.speed.side_by_side.memory import PeakMemory
from benchmarks.speed.side_by_side.problem import Answer, Problem, Solve, solver

SHORT = 0.05
"""Seconds: what takes less is called often enough to take that long."""


@dataclass
class Figures:
    """What was measured.

    Attributes:
        wall: Wall seconds of each round, of one call.
        cpu: Processor seconds of each round, of one call, all threads together.
        calls: Calls a round.
        peak_bytes: Of the first call.
        answers: One a round.
    """

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    calls: int = 1
    peak_bytes: int = 0
    answers: list[Answer] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The medians and how they came about."""
        return {
            "wall": statistics.median(self.wall),
            "cpu": statistics.median(self.cpu),
            "rounds": len(self.wall),
            "calls": self.calls,
            "peak_bytes": self.peak_bytes,
        }


def measure(solve: Solve, problem: Problem, *, rounds: int, seconds: float) -> Figures:
    """Time a contestant; the median of several rounds is what counts.

    Args:
        solve: The contestant.
        problem: The work; round `r` has seed `problem.seed + r`.
        rounds: The most rounds; always at least one.
        seconds: No further round is begun if it would end later than this.

    Returns:
        The figures. Calls too short to time alone are timed many at a time.
    """
    figures = Figures()
    with PeakMemory() as memory:
        _round(solve, problem, figures)
    figures.peak_bytes = memory.bytes
    first = figures.wall[0]
    if first < SHORT:
        figures.calls = math.ceil(SHORT / max(first, 1e-7))
        figures.wall.clear()
        figures.cpu.clear()
        figures.answers.clear()
    spent, last = first, max(first, SHORT)
    while not figures.wall or (len(figures.wall) < rounds and spent + last <= seconds):
        _round(solve, replace(problem, seed=problem.seed + len(figures.wall)), figures)
        last = figures.wall[-1] * figures.calls
        spent += last
    return figures


def _round(solve: Solve, problem: Problem, figures: Figures) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(figures.calls):
        answer = solve(problem)
    figures.cpu.append((time.process_time() - cpu) / figures.calls)
    figures.wall.append((time.perf_counter() - wall) / figures.calls)
    figures.answers.append(answer)


def main(path: Path) -> None:
    """Do the job described in a file.

    Args:
        path: JSON with `code`, `arrays`, `k`, `options`, `rounds` and `seconds`.
    """
    job = json.loads(path.read_text())
    arrays = read({name: Path(file) for name, file in job["arrays"].items()})
    problem = Problem(arrays, job["k"], options=job["options"])
    solve = solver(job["code"])
    solve(problem.small())
    (path.parent / "ready").touch()
    figures = measure(solve, problem, rounds=job["rounds"], seconds=job["seconds"])
    columns = {
        f"{name}-{index}": values
        for index, answer in enumerate(figures.answers)
        for name, values in vars(answer).items()
        if values is not None
    }
    np.savez(path.parent / "answers.npz", **columns)
    (path.parent / "figures.json").write_text(json.dumps(figures.as_dict()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
