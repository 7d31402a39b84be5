"""A cell of an offline suite whose learner is a convex problem, by `strategies.offline.convex`.

The coreset is chosen once, before training: from the features, as in CRAIG's convex experiments,
or by what else a selector reads, at parameters of zero. Losses are measured on all training rows,
against the optimum of Newton's method; both outside the clocks.

What is not told apart: a residual below 1e-10 counts as 1e-10. The full runs of SVRG and SAGA end
where double precision does, and a speed-up to the last bit of a sum would be a matter of luck.

Methods have options of their own here. `+anchored`: steps are corrected to the gradient over all
data; `+whitened`: and taken in coordinates of even curvature. `leverage` draws by leverage scores.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from benchmarks.offline.cell import begin
from benchmarks.offline.convex_data import ConvexData, build_convex_data
from benchmarks.offline.convex_method import ConvexMethod, find_convex
from benchmarks.offline.course import Course
from benchmarks.offline.plan import OfflineCell
from benchmarks.offline.record import OfflineRun
from benchmarks.offline.suite import OfflineSuite
from benchmarks.reporting.events import EventLog, Sink
from benchmarks.running.task import CellTask, write_end
from benchmarks.settings import derived_seed, from_plain, to_plain
from clcore.coreset import Coreset
from clcore.selectors import registry
from strategies.offline.convex import (
    SAGA,
    SGD,
    SVRG,
    Constant,
    Exponential,
    KInverse,
    LogisticRegression,
    Problem,
    RidgeRegression,
    Schedule,
    Solver,
    feature_bound,
    gradient_error,
    leverage_sample,
    optimum,
)

_Choice = tuple[str, str, int, int]
"""Selector, its options, number of rows and seed."""

LEAST_RESIDUAL = 1e-10
"""Residuals below count as this."""

SOLVERS: dict[str, type[Solver]] = {"sgd": SGD, "svrg": SVRG, "saga": SAGA}

_CHOSEN: WeakKeyDictionary[Problem, dict[_Choice, tuple[Coreset, float, float]]]
_CHOSEN = WeakKeyDictionary()
"""Coresets chosen for a problem while there is one, with wall-clock and processor seconds.

By the problem itself and not by its `id`, which the next problem may get.
"""

REFRESH = {"sgd": 3, "svrg": 2, "saga": 3}
"""Epochs of a coreset between two anchors, tuned on Covertype (docs/convex.md)."""


def run_convex_cell(
    task: CellTask,
    on_progress: Callable[[float], None],
    follow: Callable[[], Sink] | None,
) -> OfflineRun:
    """Run a cell; see `cell.run_cell`. It takes seconds, so a cell that was left begins anew."""
    suite, cell = task.suite, task.cell
    assert isinstance(suite, OfflineSuite)
    assert isinstance(cell, OfflineCell)
    data, problem, least = prepared(suite, cell.seed)
    events = task.folder / "events.jsonl"
    events.unlink(missing_ok=True)
    with EventLog(events) as log:
        course = Course(log, task.folder, cell, data.y)
        begin(log, task, follow, classes=data.classes)
        training = _Training(suite, cell, data, problem, least, course, on_progress)
        training.run()
        if course.coreset is not None:
            course.write_coreset(task.folder / "coreset.safetensors")
        return write_end(log, task.folder, course.finish(), training.iteration)


@lru_cache(maxsize=1)
def _prepared(settings: str, seed: int) -> tuple[ConvexData, Problem, float]:
    """Data, problem and least loss of a seed, the same for all its cells in a process."""
    suite = from_plain(OfflineSuite, json.loads(settings))
    data = build_convex_data(suite, seed)
    problem = make_problem(suite, data)
    return data, problem, optimum(problem).loss


def prepared(suite: OfflineSuite, seed: int) -> tuple[ConvexData, Problem, float]:
    """Load and divide the data, and find the optimum, once a seed.

    Args:
        suite: The suite.
        seed: Seed of the run.

    Returns:
        The data, the problem, and its least loss.
    """
    return _prepared(json.dumps(to_plain(suite), sort_keys=True), seed)


def make_problem(suite: OfflineSuite, data: ConvexData) -> Problem:
    """The suite's problem on the training rows."""
    if suite.problem == "ridge":
        return RidgeRegression(data.x, data.y.double(), l2=suite.l2)
    return LogisticRegression(data.x, data.y, l2=suite.l2)


def make_schedule(suite: OfflineSuite, optimizer: str, method: ConvexMethod) -> Schedule:
    """The step sizes of a cell: SGD's decay as the suite says, the others' stay.

    `learning_rate` is looked up by optimiser and way of training, then by optimiser alone:
    `"svrg+whitened"`, `"svrg"`; and it may hold decays that differ from `rate_decay` for a way of
    training: `"decay+whitened"`.
    """
    rate, decay = suite.rate(optimizer), suite.rate_decay
    if isinstance(suite.learning_rate, dict):
        rate = suite.learning_rate.get(f"{optimizer}+{method.way}", rate)
        decay = suite.learning_rate.get(f"decay+{method.way}", decay)
    rate *= method.rate
    if optimizer == "sgd" and suite.schedule == "power":
        return Exponential(rate, decay)
    if optimizer == "sgd" and suite.schedule == "decay":
        return KInverse(rate, decay)
    return Constant(rate)


@dataclass
class _Clock:
    """Wall-clock and processor seconds since it was made."""

    wall: float
    cpu: float

    @classmethod
    def start(cls) -> _Clock:
        return cls(time.perf_counter(), time.process_time())

    def read(self) -> tuple[float, float]:
        return time.perf_counter() - self.wall, time.process_time() - self.cpu


class _Training:
    """The work of one cell."""

    def __init__(
        self,
        suite: OfflineSuite,
        cell: OfflineCell,
        data: ConvexData,
        problem: Problem,
        least: float,
        course: Course,
        on_progress: Callable[[float], None],
    ) -> None:
        self.suite, self.cell, self.data, self.course = suite, cell, data, course
        self.problem, self.least = problem, least
        self.report, self.iteration = on_progress, 0
        self.method = find_convex(cell.method, suite)
        self.cpu_select = 0.0

    def run(self) -> None:
        """Choose, then train, measuring the untrained model first."""
        self._warm_up()
        self.course.cpu_seconds = 0.0
        self.measure(0, self.problem.zeros())
        coreset = None if self.method.full else self._select()
        solver = self._solver(coreset)
        paused, started = [0.0], _Clock.start()

        def on_epoch(epoch: int, w: Tensor, seconds: float) -> None:
            cpu = started.read()[1] - paused[0]
            self.course.train_seconds = seconds
            self.course.cpu_seconds = self.cpu_select + cpu
            rows = len(self.problem) if coreset is None else len(coreset)
            self.iteration += -(-rows // self.suite.batch_size)
            if epoch == self.suite.epochs or epoch % self.suite.evaluate_every == 0:
                self.measure(epoch, w)
            self.report(epoch / self.suite.epochs)
            paused[0] = started.read()[1] - cpu

        result = solver.minimise(
            self.problem,
            coreset=coreset,
            epochs=self.suite.epochs,
            seed=derived_seed(self.cell.seed, "orders"),
            on_epoch=on_epoch,
        )
        self.course.forward = self.course.backward = result.row_gradients

    def measure(self, epoch: int, w: Tensor) -> None:
        """Measure loss, residual and test error."""
        clock = _Clock.start()
        residual = max(self.problem.loss(w) - self.least, LEAST_RESIDUAL)
        error = self._test_error(w)
        self.course.evaluate_seconds += clock.read()[0]
        self.course.point(
            epoch,
            self.iteration,
            loss=self.least + residual,
            loss_residual=residual,
            test_error=error,
        )

    def _test_error(self, w: Tensor) -> float:
        if self.suite.problem == "ridge":
            # Labels as targets: what a row is closest to.
            found = self.problem.predict(w, self.data.test_x).round()
            return float((found != self.data.test_y).double().mean())
        return self.problem.error(w, self.data.test_x, self.data.test_y)

    def _warm_up(self) -> None:
        """Load compiled loops and the selector's module, which is no cost of the method."""
        few = torch.arange(min(len(self.problem), 2))
        SGD(1e-9).minimise(self.problem, rows=few, epochs=1)
        if self.method.selector in registry:
            registry.get(self.method.selector)

    def _select(self) -> Coreset:
        """Choose the rows, on the clock, and measure them off it."""
        k = max(1, round(self.cell.fraction * len(self.problem)))
        seed = derived_seed(self.cell.seed, "selection")
        # The coreset does not depend on the optimiser. In one process it is chosen once a seed;
        # what that took counts in each cell.
        options = self.suite.options.get(self.method.selector, {})
        known = _CHOSEN.setdefault(self.problem, {})
        key = (self.method.selector, json.dumps(options, sort_keys=True), k, seed)
        if key not in known:
            clock = _Clock.start()
            chosen = self._chosen(k, seed)
            known[key] = (chosen, *clock.read())
        coreset, seconds, self.cpu_select = known[key]
        if not self.method.weighted:
            coreset = _even(coreset, len(self.problem))
        self.course.select_seconds, self.course.cpu_seconds = seconds, self.cpu_select
        zeros = self.problem.zeros()
        rows = len(self.problem)
        _, mean = self.problem.residuals_and_mean(zeros)
        bound = None
        if "error_bound" in coreset.report and self.problem.outputs == 1:
            certified = getattr(self._selector(), "gradients", None) == "features"
            if certified and isinstance(self.problem, LogisticRegression):
                bound = feature_bound(self.problem, coreset, zeros) / rows
        self.course.selection(
            0,
            0,
            coreset,
            seconds,
            gradient_error=gradient_error(self.problem, coreset, zeros).absolute / rows,
            gradient_norm=float(mean.norm()),
            error_bound=bound,
        )
        return coreset

    def _chosen(self, k: int, seed: int) -> Coreset:
        rows = len(self.problem)
        if self.method.selector == "leverage":
            coreset = leverage_sample(self.problem, k, seed=seed)
        else:
            selector = self._selector()
            w = self.problem.zeros() if "logit_gradients" in selector.signals else None
            coreset = selector.select(self.problem.pool(w), k, generator=_generator(seed))
        return _even(coreset, rows) if bool((coreset.weights == 1).all()) else coreset

    def _selector(self) -> Any:
        return registry.create(
            self.method.selector, **self.suite.options.get(self.method.selector, {})
        )

    def _solver(self, coreset: Coreset | None) -> Solver:
        name = self.cell.optimizer
        return SOLVERS[name](
            make_schedule(self.suite, name, self.method),
            batch_size=self.suite.batch_size,
            anchor="all" if self.method.anchored else "subset",
            refresh=REFRESH[name] if self.method.anchored and coreset is not None else 1,
            whiten=self.method.whitened,
        )


def _even(coreset: Coreset, rows: int) -> Coreset:
    """The same picks, each standing for n / k rows."""
    weights = torch.full((len(coreset),), rows / len(coreset), dtype=torch.float64)
    return Coreset(coreset.indices, weights, coreset.gains.double(), coreset.cost)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
