"""Runs one cell, from its settings or from where it was left, to its result."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks import methods, metrics
from benchmarks.models import build_model
from benchmarks.reporting import EventLog, Run
from benchmarks.reporting.events import Sink
from benchmarks.running.data import build_scenario, input_transform
from benchmarks.running.evaluation import Evaluator, Predictor, network_predictor
from benchmarks.running.failures import disk_errors
from benchmarks.running.journal import Journal
from benchmarks.running.learners import exemplar_predictor, make_learner
from benchmarks.running.monitor import Monitor
from benchmarks.running.plan import Cell
from benchmarks.running.reproducible import reproducible, seed_everything
from benchmarks.running.state import CellState
from benchmarks.running.task import CellTask, read_result, start_event, write_end
from benchmarks.scenarios import Scenario
from benchmarks.settings import derived_seed
from benchmarks.suites import Suite
from clcore import Cost
from clcore.errors import FormatError
from clcore.guard import guard


def run_cell(
    task: CellTask,
    on_progress: Callable[[float], None],
    follow: Callable[[], Sink] | None = None,
) -> Run:
    """Run a cell, or what is left of it.

    Args:
        task: The cell.
        on_progress: Called now and then with the share that is done.
        follow: Makes something that is given the events while the cell runs; called when the log
            holds the first of them.

    Returns:
        The result, which is also in `result.json` in the cell's folder.

    Raises:
        ClcoreError: The cell can't be run, or what an earlier run left is damaged.
        DiskError: Something could not be written; what was finished before is kept.
    """
    with guard(), reproducible(task.suite.threads), disk_errors(task.folder):
        task.folder.mkdir(parents=True, exist_ok=True)
        finished = read_result(task.folder)
        if finished is not None:
            return finished
        return _CellRun(task, on_progress).run(follow)


class _CellRun:
    """The work of one cell; lives as long as the cell runs."""

    def __init__(self, task: CellTask, on_progress: Callable[[float], None]) -> None:
        suite, cell = task.suite, task.cell
        assert isinstance(suite, Suite)
        assert isinstance(cell, Cell)
        self.task, self.suite, self.cell, self.folder = task, suite, cell, task.folder
        self.method = methods.find(cell.method)
        self.scenario: Scenario = build_scenario(suite, cell.seed)
        transform = input_transform(suite, self.scenario)
        model = build_model(
            suite.model,
            self.scenario.image_shape,
            self.scenario.classes,
            derived_seed(cell.seed, "model"),
        )
        self.learner = make_learner(suite, self.method, cell, self.scenario, model, transform)
        self.evaluator = Evaluator(self.scenario, transform)
        self.state = CellState.read(self.folder) or CellState()
        self.total_steps = sum(map(self.learner.steps, range(self.learner.experiences)))
        self._report = on_progress

    def run(self, follow: Callable[[], Sink] | None) -> Run:
        """Go on from the state to the result."""
        events = self.folder / "events.jsonl"
        resumed = self.state.done > 0
        if resumed:
            self._load_checkpoint(events)
        else:
            events.unlink(missing_ok=True)
        with EventLog(events) as log:
            self.journal = Journal(log, self.folder, self.state, joint=self.method.joint)
            if resumed:
                log.write(
                    {
                        "event": "resume",
                        "iteration": self.state.counts.iteration,
                        "experience": self.state.done,
                    }
                )
            else:
                log.write(self._start_event())
            if follow is not None:
                log.sinks.append(follow())
            if not resumed:
                self._evaluate_untrained()
            monitor = Monitor(
                self.state.counts,
                on_train=self.journal.train,
                on_evaluate=self._evaluate_during,
                on_progress=self._progress,
            )
            for experience in range(self.state.done, self.learner.experiences):
                self._learn(experience, monitor)
            return self._finish(log)

    def _load_checkpoint(self, events: Path) -> None:
        file = self.folder / "checkpoint" / self.state.checkpoint
        remedy = f"delete {self.folder} to run this cell again"
        for needed in (file, events):
            if not needed.exists():
                raise FormatError(f"{needed} is missing, so the cell can't go on; {remedy}")
        try:
            self.learner.load(file)
        except FormatError as error:
            raise FormatError(f"{error}; {remedy}") from error

    def _start_event(self) -> dict[str, Any]:
        return start_event(
            self.task,
            method=self.cell.method,
            seed=self.cell.seed,
            memory_size=self.cell.memory_size,
            experiences=len(self.scenario.evaluation),
            classes=self.scenario.classes,
            class_names=list(self.scenario.class_names),
        )

    # -- one experience ----------------------------------------------------------------------

    def _learn(self, experience: int, monitor: Monitor) -> None:
        # Every experience starts from a seed of its own, so nothing but the checkpoint is needed
        # to continue at its beginning.
        seed_everything(derived_seed(self.cell.seed, f"experience {experience}"))
        monitor.begin_experience(
            self.learner.steps(experience), self.suite.log_points, self.suite.evaluations_during
        )
        evaluating, selecting = self.evaluator.seconds, self._cost.seconds
        started = perf_counter()
        self.learner.train(experience, monitor)
        elapsed = perf_counter() - started
        elapsed -= self.evaluator.seconds - evaluating
        elapsed -= self._cost.seconds - selecting
        self.state.train_seconds += max(elapsed, 0.0)

        iteration = self.state.counts.iteration
        rates = self._measure()
        self.journal.evaluation("end", iteration, experience, rates)
        self.state.matrix.append(rates)
        if self.learner.buffer is not None:
            self.journal.memory(iteration, experience, self.learner.buffer)
            self.journal.selection(iteration, experience, self._cost)
        self.state.done = experience + 1
        self._save()
        self._progress()

    def _save(self) -> None:
        """Checkpoint first, then the state that names it, then away with older ones."""
        folder = self.folder / "checkpoint"
        folder.mkdir(exist_ok=True)
        self.state.checkpoint = f"after-{self.state.done:02}"
        self.learner.save(folder / self.state.checkpoint)
        self.state.write(self.folder)
        for old in folder.iterdir():
            if old.name != self.state.checkpoint:
                shutil.rmtree(old) if old.is_dir() else old.unlink()

    # -- measuring ---------------------------------------------------------------------------

    @property
    def _cost(self) -> Cost:
        return Cost() if self.learner.buffer is None else self.learner.buffer.cost

    def _evaluate_untrained(self) -> None:
        rates = self._measure()
        self.state.untrained = rates
        self.journal.evaluation("during", 0, 0, rates)

    def _evaluate_during(self, iteration: int) -> None:
        self.journal.evaluation("during", iteration, self.state.done, self._measure())

    def _measure(self) -> list[float]:
        before = self.evaluator.seconds
        rates = self.evaluator.accuracies(self._predictor())
        self.state.evaluate_seconds += self.evaluator.seconds - before
        return rates

    def _predictor(self) -> Predictor:
        """The classifier; while there is no exemplar yet, the network's output layer."""
        buffer = self.learner.buffer
        if self.method.nearest_mean and buffer is not None and len(buffer):
            return exemplar_predictor(self.learner.model, buffer)
        return network_predictor(self.learner.model)

    def _progress(self) -> None:
        self._report(min(self.state.counts.iteration / self.total_steps, 1.0))

    # -- the end -----------------------------------------------------------------------------

    def _finish(self, log: EventLog) -> Run:
        buffer, state, cost = self.learner.buffer, self.state, self._cost
        summary = metrics.summarise(state.matrix, state.untrained)
        run = Run.model_validate(
            {
                "method": self.cell.method,
                "seed": self.cell.seed,
                "memory_size": self.cell.memory_size,
                "memory_bytes": 0 if buffer is None else buffer.nbytes,
                "accuracy_matrix": state.matrix,
                **vars(summary),
                "seconds": {
                    "train": state.train_seconds,
                    "select": cost.seconds,
                    "evaluate": state.evaluate_seconds,
                },
                "passes": {"forward": state.counts.forward, "backward": state.counts.backward},
                "selection_passes": {
                    "forward": cost.forward_passes,
                    "backward": cost.backward_passes,
                },
                "memory_class_counts": {}
                if buffer is None
                else {str(label): n for label, n in sorted(buffer.class_counts().items())},
            }
        )
        if buffer is not None:
            buffer.save(self.folder / "memory.safetensors")
        return write_end(log, self.folder, run, state.counts.iteration)
