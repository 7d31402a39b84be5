"""Runs the contestants of a row, each in a process of its own, and evaluates their answers."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import benchmarks
from benchmarks.speed.side_by_side.arrays import Arrays, read, write
from benchmarks.speed.side_by_side.outcome import Outcome
from benchmarks.speed.side_by_side.problem import Answer
from benchmarks.speed.side_by_side.row import Contestant, Row
from clcore.memory import available_bytes

WORKER = "benchmarks.speed.side_by_side.worker"
START = 120.0
"""Wall seconds that imports and the untimed call may take."""

_POLL = 0.05
_THREADS = ("OMP", "OPENBLAS", "MKL", "NUMBA")


@dataclass
class Contest:
    """Runs rows.

    Attributes:
        folder: Where the arrays and the answers lie while it runs.
        limit: Wall seconds that a contestant may take for its timed calls.
        seconds: Seconds after which no further round of a contestant is begun.
        left_out: Contestants not to run, by row: those known to take longer than the limit.
    """

    folder: Path
    limit: float = 120.0
    seconds: float = 8.0
    left_out: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def run(self, row: Row) -> Iterator[Outcome]:
        """Run the contestants of one row in turn, ours first.

        Args:
            row: Which.

        Yields:
            Their outcomes, as they come.
        """
        files = write(self.folder, row.data, row.n, row.d)
        judge = Judge(row, read(files))
        for contestant in row.contestants:
            obstacle = self._obstacle(row, contestant)
            yield obstacle or self._compete(row, contestant, files, judge)

    def _obstacle(self, row: Row, contestant: Contestant) -> Outcome | None:
        """Say why a contestant can't be started."""
        missing = [name for name in contestant.needs if importlib.util.find_spec(name) is None]
        if missing:
            return Outcome(contestant.name, "not installed", "pip install 'clcore[peers]'")
        if contestant.name in self.left_out.get(row.name, ()):
            return Outcome(contestant.name, "left out", "to save time; name the row to run it")
        needed = int(8 * contestant.matrices * row.n**2)
        free = available_bytes(torch.device("cpu"))
        if needed > free:
            reason = f"needs about {needed / 2**30:.0f} GiB; {free / 2**30:.0f} GiB are free"
            return Outcome(contestant.name, "too large", reason)
        return None

    def _compete(
        self, row: Row, contestant: Contestant, files: dict[str, Path], judge: Judge
    ) -> Outcome:
        limit = row.limit or self.limit
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            folder = Path(place)
            job = {
                "code": contestant.code,
                "arrays": {name: str(path) for name, path in files.items()},
                "k": row.k,
                "options": {**row.options, **contestant.options},
                "rounds": 9 if row.about.randomised else 3,
                "seconds": min(self.seconds, limit / 2),
            }
            (folder / "job.json").write_text(json.dumps(job))
            stopped = _work(folder, limit, row.threads)
            if stopped is not None:
                return Outcome(contestant.name, *stopped)
            return judge.outcome(contestant.name, folder)


class Judge:
    """Evaluates the answers to one row, each set of picks once.

    Args:
        row: The row.
        arrays: Its arrays.
    """

    def __init__(self, row: Row, arrays: Arrays) -> None:
        self.row, self.arrays = row, arrays
        self._known: dict[bytes, float] = {}

    def outcome(self, name: str, folder: Path) -> Outcome:
        """Read what a worker left behind.

        Args:
            name: The contestant's.
            folder: Where the files lie.

        Returns:
            The figures with the objective; a failure if the picks are not what was asked for.
        """
        figures: dict[str, Any] = json.loads((folder / "figures.json").read_text())
        answers = _answers(folder / "answers.npz", figures["rounds"])
        wrong = next((words for words in map(self.wrong, answers) if words), None)
        if wrong is not None:
            return Outcome(name, "failed", wrong)
        values = [self.evaluate(answer) for answer in answers]
        if not self.row.about.randomised:
            values = values[:1]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        error = spread / math.sqrt(len(values))
        return Outcome(name, objective=statistics.fmean(values), error=error, **figures)

    def wrong(self, answer: Answer) -> str | None:
        """Say what is wrong with an answer's picks, if anything.

        Args:
            answer: A contestant's.

        Returns:
            One sentence, or None. Fewer picks than asked for are an answer only with weights.
        """
        picks = answer.picks
        if picks is None:
            return None
        if len(np.unique(picks)) != len(picks):
            return "it picked a row twice"
        if len(picks) and not 0 <= picks.min() <= picks.max() < self.row.n:
            return "it picked a row that is not there"
        if answer.weights is None and len(picks) != self.row.k:
            return f"it picked {len(picks)} rows, not {self.row.k}"
        return None

    def evaluate(self, answer: Answer) -> float:
        """Compute the objective of an answer, or remember it.

        Args:
            answer: A contestant's.

        Returns:
            The objective.
        """
        parts = [values.tobytes() for values in vars(answer).values() if values is not None]
        key = b"|".join(parts)
        if key not in self._known:
            self._known[key] = self.row.about.evaluate(self.arrays, answer, self.row.options)
        return self._known[key]


def _answers(path: Path, rounds: int) -> list[Answer]:
    """Read the answers, one a round."""
    with np.load(path) as columns:
        found = {name: columns[name] for name in columns.files}
    parts = ("picks", "weights", "matrix")
    return [
        Answer(**{part: found.get(f"{part}-{index}") for part in parts}) for index in range(rounds)
    ]


def _work(folder: Path, limit: float, threads: int) -> tuple[Any, str] | None:
    """Run the worker on a job; return status and reason if it didn't finish."""
    root = str(Path(benchmarks.__file__).parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        **{f"{name}_NUM_THREADS": str(threads) for name in _THREADS},
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONWARNINGS": "ignore",
    }
    command = [sys.executable, "-P", "-m", WORKER, str(folder / "job.json")]
    with (folder / "errors").open("w") as errors:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        try:
            code = _wait(process, folder / "ready", limit)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if code is None:
        return "too long", f"> {limit:g} s"
    if code != 0:
        return "failed", _last_words(folder / "errors", code)
    return None


def _last_words(errors: Path, code: int) -> str:
    """Say in a few words why a worker ended: the exception, or the signal that ended it."""
    if code < 0:
        return f"ended by signal {-code}, {signal.Signals(-code).name}"
    lines = errors.read_text(errors="replace").strip().splitlines()
    if not lines:
        return f"ended with status {code}"
    kind, _, words = lines[-1].partition(": ")
    return f"{kind.rpartition('.')[2]}: {words.partition(';')[0]}"[:120]


def _wait(process: subprocess.Popen[bytes], ready: Path, limit: float) -> int | None:
    """Wait for a worker to end; None when its time is over. The limit begins when it is ready."""
    deadline, is_ready = time.monotonic() + START, False
    while time.monotonic() < deadline:
        try:
            return process.wait(timeout=_POLL)
        except subprocess.TimeoutExpired:
            if not is_ready and ready.exists():
                is_ready, deadline = True, time.monotonic() + limit
    return None
