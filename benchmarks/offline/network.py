"""A cell of an offline suite whose learner is a network, trained by `CoresetTrainer`."""

from __future__ import annotations

import math
import shutil
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR

from benchmarks.models import build_model
from benchmarks.offline.cell import begin
from benchmarks.offline.course import Course
from benchmarks.offline.data import OfflineData, augmentation, build_data
from benchmarks.offline.gradients import GradientCheck
from benchmarks.offline.method import find
from benchmarks.offline.pictures import draw
from benchmarks.offline.plan import OfflineCell
from benchmarks.offline.pretrained import ByPretrained, Pretrained, pretrained
from benchmarks.offline.record import OfflineRun
from benchmarks.offline.suite import OfflineSuite
from benchmarks.reporting.events import EventLog, Sink
from benchmarks.running.reproducible import seed_everything
from benchmarks.running.task import CellTask, write_end
from benchmarks.settings import derived_seed
from clcore.coreset import Coreset
from clcore.errors import FormatError
from clcore.selector import Selector
from clcore.selectors import registry
from strategies.offline import Callback, CoresetTrainer, EpochRecord

BATCH = 1000
"""Rows measured at once; the same always, since it can change the last bit."""


def run_network_cell(
    task: CellTask,
    on_progress: Callable[[float], None],
    follow: Callable[[], Sink] | None,
) -> OfflineRun:
    """Run a cell; see `cell.run_cell`."""
    suite, cell = task.suite, task.cell
    assert isinstance(suite, OfflineSuite)
    assert isinstance(cell, OfflineCell)
    data = build_data(suite, cell.seed)
    events = task.folder / "events.jsonl"
    checkpoint = task.folder / "checkpoint" / "trainer.safetensors"
    resumed = checkpoint.is_file() and events.is_file()
    if not resumed:
        checkpoint.unlink(missing_ok=True)
        events.unlink(missing_ok=True)
    checkpoint.parent.mkdir(exist_ok=True)
    with EventLog(events) as log:
        course = Course(log, task.folder, cell, data.y, data.wrong)
        training = _Training(suite, cell, data, course, checkpoint, on_progress)
        if resumed:
            training.resume()
        iteration = training.iteration if resumed else None
        begin(log, task, follow, classes=data.classes, iteration=iteration)
        training.run()
        if course.coreset is not None:
            course.write_coreset(task.folder / "coreset.safetensors")
        losses = training.meter.row_losses()
        draw(task.folder, data, course, losses)
        course.extra["hardest_chosen"] = hardest_chosen(course, losses)
        run = write_end(log, task.folder, course.finish(), training.iteration)
    shutil.rmtree(task.folder / "checkpoint", ignore_errors=True)
    return run


def hardest_chosen(course: Course, losses: Tensor) -> float | None:
    """Share of the tenth of rows with the greatest loss at the end that is in the last coreset."""
    if course.coreset is None:
        return None
    hardest = losses.topk(max(1, len(losses) // 10)).indices
    inside = torch.zeros(len(losses), dtype=torch.bool)
    inside[course.coreset.indices] = True
    return float(inside[hardest].double().mean())


def make_optimizer(
    suite: OfflineSuite, model: nn.Module, name: str, factor: float = 1.0
) -> torch.optim.Optimizer:
    """The suite's optimiser; the L2 term is its weight decay.

    Args:
        suite: The suite.
        model: The network.
        name: `"sgd"` or `"adam"`.
        factor: On the suite's learning rate.
    """
    rate = factor * suite.rate(name)
    if name == "adam":
        return torch.optim.Adam(model.parameters(), lr=rate, weight_decay=suite.l2)
    return torch.optim.SGD(
        model.parameters(),
        lr=rate,
        momentum=suite.momentum,
        nesterov=suite.nesterov,
        weight_decay=suite.l2,
    )


def rate_factor(
    suite: OfflineSuite, epoch: int, fraction: float = 1.0, epochs: int | None = None
) -> float:
    """What the learning rate is multiplied by in an epoch, counted from 0.

    Args:
        suite: The suite.
        epoch: Epochs done.
        fraction: Share of the rows in a coreset.
        epochs: Epochs in all; those of the suite by default.
    """
    scaled = 1.0
    if suite.scale_rate and epoch >= suite.warmup_epochs:
        scaled = 1 / fraction
    return scaled * _scheduled(suite, epoch, epochs or suite.epochs)


def _scheduled(suite: OfflineSuite, epoch: int, epochs: int) -> float:
    if epoch < suite.rate_warmup:
        return (epoch + 1) / suite.rate_warmup
    if suite.schedule == "cosine":
        past = epoch - suite.rate_warmup
        return 0.5 * (1 + math.cos(math.pi * past / max(1, epochs - suite.rate_warmup)))
    if suite.schedule == "steps":
        passed = sum(epoch >= round(share * epochs) for share in suite.milestones)
        return suite.rate_factor**passed
    if suite.schedule == "decay":
        return 1 / (1 + suite.rate_decay * epoch)
    if suite.schedule == "power":
        return suite.rate_decay**epoch
    return 1.0


class _Training(Callback):
    """The work of one cell; watches its trainer."""

    def __init__(
        self,
        suite: OfflineSuite,
        cell: OfflineCell,
        data: OfflineData,
        course: Course,
        checkpoint: Path,
        on_progress: Callable[[float], None],
    ) -> None:
        self.suite, self.cell, self.course = suite, cell, course
        self.checkpoint, self.report = checkpoint, on_progress
        self.iteration = 0
        self.method = find(cell.method, suite)
        self.epochs = suite.epochs if self.method.full else suite.coreset_epochs or suite.epochs
        # All random numbers of training follow from this one seed and the checkpoint.
        seed_everything(derived_seed(cell.seed, "training"))
        device = torch.device(suite.device)
        course.cpu_seconds = 0.0 if device.type == "cpu" else None
        model = build_model(
            suite.model, data.shape, len(data.classes), derived_seed(cell.seed, "model")
        ).to(device)
        self.meter = Meter(suite, model, data, derived_seed(cell.seed, "loss rows"))
        self.check = GradientCheck(data) if suite.measure_gradients else None
        self.trainer = self._trainer(model, data)
        self._mark = time.process_time()

    def resume(self) -> None:
        """Go back to where an earlier run left.

        Raises:
            FormatError: The checkpoint is damaged.
        """
        try:
            self.trainer.load(self.checkpoint)
        except FormatError as error:
            folder = self.checkpoint.parents[1]
            raise FormatError(f"{error}; delete {folder} to run this cell again") from error

    def run(self) -> None:
        """Train to the end."""
        if not self.course.curves["epochs"]:
            self.measure(0)
        self._mark = time.process_time()
        with warnings.catch_warnings():
            # The counts of the classes and the greatest weights are in the results.
            warnings.filterwarnings("ignore", message=".* chose no row of class ")
            warnings.filterwarnings("ignore", message="weights: a row that .* chose weighs ")
            self.trainer.fit(self.epochs)

    def state_dict(self) -> dict[str, Any]:
        """Return what goes into the trainer's checkpoint."""
        return {"iteration": self.iteration, "course": self.course.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what `state_dict` returned."""
        self.iteration = state["iteration"]
        self.course.load_state_dict(state["course"])

    def _trainer(self, model: nn.Module, data: OfflineData) -> CoresetTrainer:
        suite, cell, device = self.suite, self.cell, torch.device(self.suite.device)
        optimizer = make_optimizer(suite, model, cell.optimizer, self.method.rate)
        schedule = None
        if suite.schedule != "constant" or suite.rate_warmup or suite.scale_rate:
            schedule = LambdaLR(
                optimizer, lambda epoch: rate_factor(suite, epoch, cell.fraction, self.epochs)
            )
        self.selector = selector = self._selector()
        self.source = source = self._read(selector, data)
        validation = data.validation if self.method.selector == "glister" else None
        if source is not None and isinstance(selector, Selector):
            selector, validation = ByPretrained(selector, source, data), None
            if self.course.cpu_seconds is not None:
                self.course.cpu_seconds = source.cpu_seconds
            self.course.pretrain_seconds = source.seconds
            self.course.select_seconds = source.seconds
            self.course.select_forward = self.course.select_backward = source.passes
        return CoresetTrainer(
            model,
            optimizer,
            functional.cross_entropy,
            (data.x.to(device), data.y.to(device)),
            selector,
            1.0 if self.method.full else cell.fraction,
            batch_size=suite.batch_size,
            warmup_epochs=suite.warmup_epochs,
            every=self.method.every,
            scheduler=schedule,
            weighted=self.method.weighted,
            validation=validation,
            augment=augmentation(suite, data),
            seed=derived_seed(cell.seed, "orders"),
            callbacks=[self],
        )

    def _selector(self) -> str | Selector:
        if self.method.full:
            return "full"
        return registry.create(
            self.method.selector, **self.suite.options.get(self.method.selector, {})
        )

    def _read(self, selector: str | Selector, data: OfflineData) -> Pretrained | None:
        """The model that a selector reads in place of the one being trained."""
        reads = isinstance(selector, Selector) and bool(selector.signals)
        if not self.suite.pretrain_epochs or not reads:
            return None
        shared = self.checkpoint.parents[3] / "shared"
        return pretrained(self.suite, self.cell, data, shared)

    # -- called by the trainer, outside its clocks ---------------------------------------------

    def on_selection(self, trainer: CoresetTrainer, coreset: Coreset) -> None:
        """Measure a coreset."""
        self._take_processor_time()
        errors = {}
        if self.check is not None:
            probe = trainer.probe if self.source is None else self.source.probe
            weighted = bool(self.method.weighted)
            errors = self.check.measure(probe, coreset, self.selector, weighted=weighted)
        if self.source is not None:
            self.course.select_forward += coreset.cost.forward_passes
            self.course.select_backward += coreset.cost.backward_passes
        seconds = coreset.cost.seconds
        self.course.selection(trainer.epoch, self.iteration, coreset, seconds, **errors)
        self._mark = time.process_time()

    def on_epoch_end(self, trainer: CoresetTrainer, record: EpochRecord) -> None:
        """Take the clocks, and measure the model now and then."""
        self._take_processor_time()
        course = self.course
        course.train_seconds += record.train_seconds
        course.select_seconds += record.select_seconds
        course.forward += record.rows
        course.backward += record.rows
        course.select_forward += record.forward_passes
        course.select_backward += record.backward_passes
        self.iteration += record.steps
        last = record.epoch == self.epochs
        if last or record.epoch % self.suite.evaluate_every == 0:
            self.measure(record.epoch, train_loss=record.loss, learning_rate=record.learning_rate)
        # Saved here and not by the trainer, so that it is in no processor time.
        trainer.save(self.checkpoint)
        self.report(record.epoch / self.epochs)
        self._mark = time.process_time()

    def _take_processor_time(self) -> None:
        """Add what was spent since the last callback ended."""
        if self.course.cpu_seconds is not None:
            self.course.cpu_seconds += time.process_time() - self._mark

    def measure(self, epoch: int, **more: Any) -> None:
        """Measure loss and test error."""
        started = time.perf_counter()
        loss, error = self.meter.loss(), self.meter.test_error()
        self.course.evaluate_seconds += time.perf_counter() - started
        self.course.point(epoch, self.iteration, loss=loss, test_error=error, **more)


class Meter:
    """Measures a network in evaluation mode.

    Args:
        suite: Says how much weighs the L2 term, and on how many rows the loss is measured.
        model: The network.
        data: Training and test rows.
        seed: Of the rows on which the loss is measured.
    """

    def __init__(self, suite: OfflineSuite, model: nn.Module, data: OfflineData, seed: int) -> None:
        self.model, self.data, self.l2 = model, data, suite.l2
        self.rows: Tensor | None = None
        if suite.loss_rows is not None and suite.loss_rows < len(data.y):
            generator = torch.Generator().manual_seed(seed)
            self.rows = torch.randperm(len(data.y), generator=generator)[: suite.loss_rows]

    def loss(self) -> float:
        """Objective: mean cross-entropy of the training rows and the L2 term."""
        squares = sum(float(p.detach().double().square().sum()) for p in self.model.parameters())
        return float(self.row_losses(self.rows).double().mean()) + self.l2 / 2 * squares

    def row_losses(self, rows: Tensor | None = None) -> Tensor:
        """Cross-entropy of training rows, `[n]`; of all by default."""
        x = self.data.x if rows is None else self.data.x[rows]
        y = self.data.y if rows is None else self.data.y[rows]
        return self._each(x, y, lambda logits, part: functional.cross_entropy(
            logits, part, reduction="none"))  # fmt: skip

    def test_error(self) -> float:
        """Share of the test rows that is classified wrongly."""
        wrong = self._each(
            self.data.test_x, self.data.test_y, lambda logits, part: logits.argmax(dim=1) != part
        )
        return float(wrong.double().mean())

    def _each(self, x: Tensor, y: Tensor, read: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        training = self.model.training
        device = next(self.model.parameters()).device
        parts = zip(torch.split(x, BATCH), torch.split(y, BATCH), strict=True)
        self.model.eval()
        try:
            with torch.no_grad():
                return torch.cat(
                    [
                        read(self.model(part.to(device)), labels.to(device)).cpu()
                        for part, labels in parts
                    ]
                )
        finally:
            self.model.train(training)


__all__ = ["Meter", "hardest_chosen", "make_optimizer", "run_network_cell"]
