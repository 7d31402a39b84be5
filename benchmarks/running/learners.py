"""What learns: an Avalanche strategy for batch suites, an `OnlineLearner` for online ones."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from avalanche.benchmarks import benchmark_from_datasets
from avalanche.benchmarks.utils import concat_datasets
from avalanche.core import SupervisedPlugin
from avalanche.training.supervised import Naive
from torch import Tensor, nn

from benchmarks.methods import Method
from benchmarks.running.data import augmented_transform
from benchmarks.running.evaluation import Predictor
from benchmarks.running.monitor import Monitor
from benchmarks.running.plan import Cell
from benchmarks.scenarios import Scenario
from benchmarks.settings import derived_seed
from benchmarks.suites import Suite
from buffers import Buffer
from clcore import Probe
from strategies import (
    FastStream,
    GDumb,
    MemoryPlugin,
    NearestMeanClassifier,
    OnlineLearner,
    load_checkpoint,
    save_checkpoint,
)


class Learner(ABC):
    """One model under one method, trained experience by experience.

    Attributes:
        model: The network.
        buffer: The memory; None for a method without.
        experiences: How many there are to train on; one for joint training.
    """

    model: nn.Module
    buffer: Buffer | None
    experiences: int

    @abstractmethod
    def steps(self, experience: int) -> int:
        """Training steps that an experience takes."""

    @abstractmethod
    def train(self, experience: int, monitor: Monitor) -> None:
        """Train on one experience and let the memory take it in."""

    @property
    @abstractmethod
    def saved(self) -> Any:
        """What `strategies.save_checkpoint` is given."""

    def save(self, path: Path) -> None:
        """Write everything that further training depends on."""
        save_checkpoint(path, self.saved)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint, bit for bit.

        Raises:
            FormatError: The checkpoint is damaged, foreign, or of another learner.
        """
        load_checkpoint(path, self.saved)


def make_optimizer(suite: Suite, model: nn.Module, memory_size: int) -> torch.optim.Optimizer:
    """The suite's optimiser."""
    rate = suite.rate(memory_size)
    if suite.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=rate, weight_decay=suite.weight_decay)
    return torch.optim.SGD(
        model.parameters(),
        lr=rate,
        momentum=suite.momentum,
        weight_decay=suite.weight_decay,
        nesterov=suite.nesterov,
    )


class BatchLearner(Learner):
    """Avalanche's `Naive` with `strategies.Replay`.

    Args:
        suite: The suite.
        method: The method.
        memory_size: Exemplars.
        model: The network.
        buffer: The memory, or None.
        scenario: What is learned.
        transform: From uint8 images to the network's input.
        train_transform: The same in training, with the suite's augmentation.
    """

    def __init__(
        self,
        suite: Suite,
        method: Method,
        memory_size: int,
        model: nn.Module,
        buffer: Buffer | None,
        scenario: Scenario,
        transform: Callable[[Tensor], Tensor],
        train_transform: Callable[[Tensor], Tensor],
    ) -> None:
        self.model, self.buffer = model, buffer
        self.suite, self.memory_size = suite, memory_size
        benchmark = scenario.to_avalanche(
            normalise=False, train_transform=train_transform, eval_transform=transform
        )
        self.parts: list[list[Any]] = [[] for _ in scenario.evaluation]
        for experience, trained in zip(scenario, benchmark.train_stream, strict=True):
            self.parts[experience.parent].append(trained)
        if method.joint:
            everything = concat_datasets([part.dataset for parts in self.parts for part in parts])
            self.parts = [list(benchmark_from_datasets(train=[everything]).train_stream)]
        self.experiences = len(self.parts)
        self.batch_size, self.epochs = suite.batch_size, suite.epochs
        if method.picks_of_batch and suite.selection_batch_size is not None:
            self.batch_size = suite.selection_batch_size
            self.epochs = suite.selection_epochs or suite.epochs
        fast = FastStream(passes=suite.passes)
        self.memory = None if buffer is None else method.build_plugin(buffer, suite, fast)
        self.plugin = _Steps(self.memory)
        plugins: list[Any] = [fast if self.memory is None else self.memory, self.plugin]
        with warnings.catch_warnings():
            # Evaluation is ours; that Avalanche's own has no loggers is meant.
            warnings.filterwarnings("ignore", message="No loggers specified")
            self.strategy = Naive(
                model=model,
                optimizer=make_optimizer(suite, model, memory_size),
                criterion=nn.CrossEntropyLoss(),
                train_mb_size=self.batch_size,
                train_epochs=self.epochs,
                eval_mb_size=suite.batch_size,
                plugins=plugins,
                evaluator=None,
            )

    @property
    def saved(self) -> Any:
        """The strategy."""
        return self.strategy

    def steps(self, experience: int) -> int:
        """Mini-batches in all epochs."""
        sizes = [[len(part.dataset) for part in parts] for parts in self.parts[: experience + 1]]
        if isinstance(self.memory, GDumb):
            before = sum(map(sum, sizes[:-1]))
            held = [min(before + sum(sizes[-1][: i + 1]), self.memory_size) for i in _places(sizes)]
            return self.memory.epochs * sum(-(-rows // self.batch_size) for rows in held)
        batches = sum(-(-rows // self.batch_size) for rows in sizes[-1])
        return self.epochs * self.suite.passes * batches

    def train(self, experience: int, monitor: Monitor) -> None:
        """Train inside Avalanche."""
        self.plugin.monitor = monitor
        rate = self.suite.rate(self.memory_size) * self.suite.rate_decay**experience
        for group in self.strategy.optimizer.param_groups:
            group["lr"] = rate
        for part in self.parts[experience]:
            if self.suite.renew_optimizer:
                self.strategy.optimizer.state.clear()
            self.strategy.train(part)
        self.plugin.count_beside()


def _places(sizes: list[list[int]]) -> range:
    """Numbers of the parts of the last experience."""
    return range(len(sizes[-1]))


class _Steps(SupervisedPlugin):
    """Tells the monitor of each step."""

    def __init__(self, memory: MemoryPlugin | None) -> None:
        super().__init__()
        self.monitor: Monitor | None = None
        self.memory, self._counted = memory, 0

    def count_beside(self) -> None:
        """Count the rows that the memory's plugin has trained on by itself."""
        if self.memory is not None and self.monitor is not None:
            new = self.memory.rows_beside - self._counted
            self._counted = self.memory.rows_beside
            self.monitor.counts.forward += new
            self.monitor.counts.backward += new

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the cell keeps its own counts."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to take back."""

    def after_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        if self.monitor is not None:
            is_replay = getattr(strategy, "is_replay", None)
            self.monitor.step(
                strategy.loss.detach(), strategy.mb_output.detach(), strategy.mb_y, is_replay
            )


class StreamLearner(Learner):
    """`strategies.OnlineLearner` on mini-batches that come once, in a seeded order.

    Args:
        suite: The suite.
        method: The method.
        memory_size: Exemplars.
        seed: Seed of the run, for the order of each experience.
        model: The network.
        buffer: The memory, or None.
        scenario: What is learned.
        transform: From uint8 images to the network's input.
    """

    def __init__(
        self,
        suite: Suite,
        method: Method,
        memory_size: int,
        seed: int,
        model: nn.Module,
        buffer: Buffer | None,
        scenario: Scenario,
        transform: Callable[[Tensor], Tensor],
    ) -> None:
        self.model, self.buffer = model, buffer
        self.suite, self.seed = suite, seed
        parts = [[experience] for experience in scenario]
        self.parts = [list(scenario)] if method.joint else parts
        self.experiences = len(self.parts)
        self.learner = OnlineLearner(
            model,
            make_optimizer(suite, model, memory_size),
            buffer=buffer,
            batch_size_memory=suite.replay_batch_size,
            retrieval=method.retrieval,
            passes=suite.epochs,
            transform=transform,
        )

    @property
    def saved(self) -> Any:
        """The online learner."""
        return self.learner

    def steps(self, experience: int) -> int:
        """Mini-batches; the passes over each are one step for the monitor."""
        rows = sum(len(part) for part in self.parts[experience])
        return -(-rows // self.suite.batch_size)

    def train(self, experience: int, monitor: Monitor) -> None:
        """Observe each mini-batch once."""
        if self.suite.renew_optimizer:
            self.learner.optimizer.state.clear()
        x = torch.cat([part.train_x for part in self.parts[experience]])
        y = torch.cat([part.train_y for part in self.parts[experience]])
        task = torch.cat([part.train_task for part in self.parts[experience]])
        generator = torch.Generator().manual_seed(derived_seed(self.seed, f"stream {experience}"))
        order = torch.randperm(len(y), generator=generator)
        for start in range(0, len(y), self.suite.batch_size):
            rows = order[start : start + self.suite.batch_size]
            result = self.learner.observe(x[rows], y[rows], task[rows])
            monitor.step(
                result.loss, result.output, result.y, result.is_replay, passes=self.suite.epochs
            )


def make_learner(
    suite: Suite,
    method: Method,
    cell: Cell,
    scenario: Scenario,
    model: nn.Module,
    transform: Callable[[Tensor], Tensor],
) -> Learner:
    """Put model, memory and training together.

    Args:
        suite: The suite.
        method: The cell's method.
        cell: Memory size and seed.
        scenario: What is learned.
        model: The network.
        transform: From uint8 images to the network's input.
    """
    online = suite.training == "online"
    # Avalanche hands its strategy to the memory; a native stream has none to hand.
    probe = Probe(model, transform=transform) if online else None
    buffer = method.build_buffer(
        cell.memory_size, seed=derived_seed(cell.seed, "memory"), probe=probe
    )
    if online:
        return StreamLearner(
            suite, method, cell.memory_size, cell.seed, model, buffer, scenario, transform
        )
    augmented = augmented_transform(suite, scenario, transform)
    return BatchLearner(
        suite, method, cell.memory_size, model, buffer, scenario, transform, augmented
    )


def exemplar_predictor(model: nn.Module, buffer: Buffer) -> Predictor:
    """Classify by the nearest mean of the exemplars, with the network's present features."""
    classifier = NearestMeanClassifier(buffer).fit(model)

    def predict(x: Tensor) -> Tensor:
        labels: Tensor = classifier.predict(x)
        return labels

    return predict
