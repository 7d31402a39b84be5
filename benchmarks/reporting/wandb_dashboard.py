"""The dashboard for your own Avalanche script: one line, as a plugin or as a logger.

It replaces Avalanche 0.6's `WandBLogger`, which can't be constructed with wandb 0.31. Callbacks
and metrics become the same events as those of `clcore run`, so the keys and panels are the same.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
import wandb
from avalanche.core import SupervisedPlugin
from avalanche.evaluation.metric_results import AlternativeValues, TensorImage
from avalanche.logging import BaseLogger
from matplotlib import pyplot
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.reporting import avalanche_watch as watch
from benchmarks.reporting import wandb_keys as keys
from benchmarks.reporting.avalanche_books import Books
from benchmarks.reporting.events import SCHEMA
from benchmarks.reporting.images import to_pictures
from benchmarks.reporting.memory_event import is_memory
from benchmarks.reporting.wandb_mode import Mode, decide_mode
from benchmarks.reporting.wandb_sink import WandBSink
from clcore.errors import ArgumentError

logger = logging.getLogger(__name__)


class WandBDashboard(BaseLogger, SupervisedPlugin):
    """Logs an Avalanche strategy to wandb.

    Give it to the strategy (`plugins=[dashboard]`) or to the evaluation plugin
    (`EvaluationPlugin(..., loggers=[dashboard])`). As a logger it takes Avalanche's own
    `Top1_Acc_Exp` metric where that is measured, and passes every other metric on under
    `avalanche/`; otherwise it measures accuracies itself from the outputs of `strategy.eval`.
    Evaluate after each experience (`strategy.eval(benchmark.test_stream)`), or let Avalanche do
    so (`eval_every`).

    The run ends with `close()`, at the end of a `with` block, or when Python exits. Only then are
    the accuracy matrix and the final memory logged.

    Args:
        project: wandb project.
        run_name: Name of the run; the strategy's by default.
        buffer: The memory to show; by default the first clcore buffer found under
            `storage_policy` or `buffer` on the strategy or a plugin.
        mode: `"auto"` (online where logged in), `"online"`, `"offline"` or `"disabled"`.
        log_every: Training iterations between two logged losses.
        group: wandb group, such as the name of the benchmark.
        seed: Seed of the run, for config and tags.
        config: More settings for the run's config.
        wandb_dir: Folder in which wandb makes its `wandb` folder; `WANDB_DIR` or the present one
            by default.
        **options: More options for `wandb.init`, such as `entity` or `notes`.

    Raises:
        ArgumentError: An unknown mode, `log_every` below 1, or a `buffer` that is no clcore
            buffer.

    Example:
        >>> dashboard = WandBDashboard(project="demo", mode="disabled")
        >>> dashboard.close()
    """

    def __init__(
        self,
        project: str = "clcore",
        run_name: str | None = None,
        buffer: Any = None,
        *,
        mode: str = "auto",
        log_every: int = 10,
        group: str = "avalanche",
        seed: int | None = None,
        config: Mapping[str, Any] | None = None,
        wandb_dir: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        if isinstance(log_every, bool) or not isinstance(log_every, int) or log_every < 1:
            raise ArgumentError(f"log_every: {log_every!r}, needs a whole number from 1 on")
        if buffer is not None and not is_memory(buffer):
            raise ArgumentError(
                f"buffer: {type(buffer).__name__} is no clcore buffer (it needs class_counts(), "
                "all(), ages(), seen and nbytes)"
            )
        self.project, self.run_name, self.buffer = project, run_name, buffer
        self.log_every, self.group, self.seed = log_every, group, seed
        self.config = dict(config or {})
        self.mode: Mode = decide_mode(mode)
        self.wandb_dir = wandb_dir if wandb_dir is not None else os.environ.get("WANDB_DIR", ".")
        self.options = {"id": uuid.uuid4().hex[:8], "settings": wandb.Settings(), **options}
        self.sink: WandBSink | None = None
        self._books: Books | None = None
        self._closed = False
        self._training = False
        self._columns = 0
        self._counted: dict[tuple[str, int], list[int]] = {}
        self._reported: dict[tuple[str, int], float] = {}
        self._extra: dict[str, Any] = {}
        self._streams: set[str] = set()

    @property
    def run(self) -> wandb.Run | None:
        """The wandb run, for what you want to log besides; None before the first experience."""
        return None if self.sink is None else self.sink.run

    # -- metrics, where it is a logger -----------------------------------------------------

    def log_single_metric(self, name: str, value: Any, x_plot: int) -> None:
        """Take one of Avalanche's metrics.

        Args:
            name: Its full name.
            value: A number, an image or a figure; anything else is left alone.
            x_plot: Avalanche's step; ours is the iteration.
        """
        if isinstance(value, AlternativeValues):
            value = value.best_supported_value(float, int, TensorImage, Image.Image, Figure)
        if isinstance(value, torch.Tensor) and value.numel() == 1:
            value = float(value)
        key = f"avalanche/{name}"
        if isinstance(value, int | float) and not isinstance(value, bool):
            self._extra[key] = value
            place = watch.top1_of(name)
            if place is not None:
                self._reported[place] = float(value)
        elif isinstance(value, TensorImage):
            self._extra[key] = wandb.Image(to_pictures(value.image.unsqueeze(0))[0])
        elif isinstance(value, Image.Image | Figure):
            self._extra[key] = wandb.Image(value)
            if isinstance(value, Figure):
                pyplot.close(value)  # Avalanche leaves every figure that it makes open

    def _flush_metrics(self) -> None:
        if self._extra and self.sink is not None and self._books is not None:
            self.sink.log({"iteration": self._books.iteration, **self._extra})
            self._extra = {}

    # -- callbacks; a logger is given the metrics besides ----------------------------------

    def _mine(self, strategy: Any, metrics: Any) -> bool:
        """Whether to act on a call: not twice where it is both a plugin and a logger."""
        if self._closed:
            return False
        loggers = getattr(getattr(strategy, "evaluator", None), "loggers", ())
        return metrics is not None or not any(entry is self for entry in loggers)

    def before_training(self, strategy: Any, metrics: Any = None, **_: Any) -> None:
        """Note that evaluations from here on interrupt the training."""
        if self._mine(strategy, metrics):
            self._training = True

    def before_training_exp(self, strategy: Any, metrics: Any = None, **_: Any) -> None:
        """Open the run on the first experience; close the books of the one before."""
        if self._mine(strategy, metrics):
            self._open(strategy).begin(watch.experience_index(strategy.experience))

    def after_training_iteration(self, strategy: Any, metrics: Any = None, **_: Any) -> None:
        """Log loss and accuracy, every `log_every` iterations."""
        if not self._mine(strategy, metrics):
            return
        books = self._open(strategy)
        books.iteration += 1
        if books.iteration % self.log_every == 0:
            self._flush_metrics()
            books.trained(
                float(strategy.loss.detach()),
                watch.batch_accuracy(strategy),
                watch.replay_loss(strategy),
            )

    def after_training(self, strategy: Any, metrics: Any = None, **_: Any) -> None:
        """Settle the experience; that of an online stream goes on with the next piece."""
        if self._mine(strategy, metrics):
            self._training = False
            self._flush_metrics()
            if not hasattr(strategy.experience, "origin_experience"):
                self._open(strategy).settle()

    def before_eval(self, strategy: Any, metrics: Any = None, **_: Any) -> None:
        """Begin to count."""
        if self._mine(strategy, metrics):
            self._counted, self._reported = {}, {}

    def after_eval_iteration(self, strategy: Any, metrics: Any = None, **_: Any) -> None:
        """Count what is classified correctly."""
        if not self._mine(strategy, metrics):
            return
        right = watch.correct(strategy)
        if right is not None:
            experience = strategy.experience
            place = (watch.stream_name(experience), watch.experience_index(experience))
            counts = self._counted.setdefault(place, [0, 0])
            counts[0] += int(right.sum())
            counts[1] += len(right)

    def after_eval_exp(self, strategy: Any, metrics: Any = None, **_: Any) -> None:
        """Learn how many experiences the test stream has."""
        if self._mine(strategy, metrics) and watch.stream_name(strategy.experience) == "test":
            count = watch.experience_count(strategy.experience) or 0
            self._columns = max(self._columns, count)

    def after_eval(self, strategy: Any, metrics: Any = None, **_: Any) -> None:
        """Log the accuracies of this evaluation."""
        if not self._mine(strategy, metrics):
            return
        books = self._open(strategy)
        measured = {place: right / n for place, (right, n) in self._counted.items() if n}
        measured |= self._reported
        tested = {index: rate for (stream, index), rate in measured.items() if stream == "test"}
        if tested:
            books.evaluated(tested, self._columns, during=self._training)
        for stream in sorted({stream for stream, _ in measured} - {"test"}):
            self._other_stream(stream, measured, books.iteration)
        self._flush_metrics()

    def _other_stream(
        self, stream: str, measured: Mapping[tuple[str, int], float], iteration: int
    ) -> None:
        """Accuracies on other streams, under keys of their own."""
        key = keys.plain(f"accuracy_{stream}")
        run = self.run
        if run is None or self.sink is None:
            return
        if stream not in self._streams:
            self._streams.add(stream)
            run.define_metric(f"{key}/*", step_metric="iteration")
        values = {
            f"{key}/exp_{index:02d}": rate for (name, index), rate in measured.items()
            if name == stream
        }  # fmt: skip
        self.sink.log({"iteration": iteration, **values})

    # -- beginning and end -----------------------------------------------------------------

    def _open(self, strategy: Any) -> Books:
        if self._books is not None:
            return self._books
        if self.buffer is None:
            self.buffer = watch.find_buffer(strategy)
            if self.buffer is None:
                logger.info("wandb: no clcore buffer found, so there are no memory panels")
        folder = Path(tempfile.mkdtemp(prefix="clcore-dashboard-"))
        self.sink = WandBSink(
            folder,
            mode=self.mode,
            project=self.project,
            wandb_dir=self.wandb_dir,
            **self.options,
        )
        self._books = Books(self.sink, self.buffer, folder)
        self.sink.handle(
            {
                "event": "start",
                "schema": SCHEMA,
                "suite": self.group,
                "kind": "continual",
                "method": type(strategy).__name__,
                "seed": self.seed,
                "memory_size": None if self.buffer is None else self.buffer.max_size,
                "cell": self.run_name or type(strategy).__name__,
                "settings": {**watch.describe(strategy, self.buffer), **self.config},
                "environment": {"torch": str(torch.__version__)},
            }
        )
        # Registered after wandb's own hook and so called before it: the run is still open then.
        atexit.register(self.close)
        return self._books

    def close(self, exit_code: int = 0) -> None:
        """Log the accuracy matrix and the final memory, and finish the run. Does so once.

        Args:
            exit_code: Other than 0 marks the run as failed.
        """
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.close)
        if self._books is None or self.sink is None:
            return
        try:
            self._flush_metrics()
            self._books.end(exit_code)
            self.sink.close(exit_code)
        finally:
            shutil.rmtree(self._books.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close(exit_code=0 if kind is None else 1)
