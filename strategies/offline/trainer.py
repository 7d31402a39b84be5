"""Train on a weighted subset that the model itself keeps choosing anew.

Source: Mirzasoleiman, Bilmes & Leskovec, "Coresets for data-efficient training of machine learning
models", ICML 2020 (CRAIG), whose loop this is; Killamsetty et al. 2021 (GRAD-MATCH, GLISTER) train
likewise. Any selector of the engine takes the part of theirs.

Formula: a step on a batch B of the coreset goes along (1/|B|) Σ_{j ∈ B} γ_j ∇f_j with the weights
scaled to mean 1, which estimates Σ_j γ_j ∇f_j / Σ_j γ_j without bias, and so Σ_i ∇f_i / n where the
coreset is good. Learning rate and weight decay keep the meaning that they have on all data.

Defaults: CRAIG on a tenth of the rows, chosen before every epoch, without warm-up.

Differences from reference codes: CRAIG's own rescales weights likewise; CORDS trains with the raw
weights in some of its loops, so that the rate means something else for each fraction. Neither can
resume, and neither schedules by the steps of the smaller epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from clcore.checks import whole_number
from clcore.clock import working_time
from clcore.coreset import Coreset
from clcore.errors import ArgumentError
from clcore.probe import Probe
from clcore.recorder import TrainingRecorder
from clcore.selector import Selector
from strategies.offline.callbacks import Callback
from strategies.offline.choosing import Choice
from strategies.offline.data import TrainingData, training_data
from strategies.offline.divergence import DivergedError
from strategies.offline.history import EpochRecord, History
from strategies.offline.losses import RowLosses
from strategies.offline.schedule import Schedule, SchedulerUnit
from strategies.offline.steps import Steps


class CoresetTrainer:
    """Warm up on all data, choose a weighted subset, train on it, choose again.

    Plain PyTorch goes in: a model, its optimizer, a loss, the data. The model is trained in place.

    Args:
        model: The model.
        optimizer: Made over its parameters.
        loss: A loss of torch, or `loss(outputs, targets)` that gives one value a row. One that is
            reduced already is refused: the weights of the rows would be lost.
        data: `(x, y)` tensors, a `TensorDataset`, or a map-style data set of `(x, y)` items, whose
            order stays the same. Tensors are used where they lie.
        selector: A registered name, a selector, or `"full"` for all rows in every epoch.
        fraction: How many rows: a share such as `0.1`, a text such as `"10%"`, or a whole number.
        batch_size: Rows a step.
        warmup_epochs: Epochs on all data before rows are first chosen.
        every: Epochs between two choices; None to choose once.
        scheduler: A scheduler of torch, made over the optimizer.
        scheduler_unit: What it counts: `"epoch"`, `"step"`, or `"full-step"`, steps of epochs on
            all data, so that smaller epochs pass through as much of it.
        per_class: True: every class gets its share of the rows; False: one choice over all rows;
            None: as the selector does by itself (CRAIG and GradMatch go by class).
        weighted: Whether the weights of the coreset count in the loss.
        validation: Rows whose loss counts for selectors with such an option (GLISTER, GradMatch),
            in the forms of `data`.
        signals: Signals that do not depend on the model, `[n, ...]` by name, for example
            `{"features": x}`. A selector that needs no others never runs the model, and chooses
            once if it draws nothing.
        probe: Computes the other signals; by default one made of the model, loss, `feature_layer`,
            `transform` and `autocast`.
        feature_layer: The layer whose output is the features; by default the input of the last
            Linear.
        transform: Applied to each batch of inputs, for training and for selection.
        augment: Applied after it, for training only; may be random.
        device: Where to train: the model is moved there. By default where it is.
        autocast: `torch.bfloat16` or `torch.float16` (with scaled gradients) for mixed precision.
        workers: Processes that read a data set.
        drop_last: Leave out an incomplete last batch.
        seed: Of the orders of rows and of the selections. Dropout and augmentation draw from
            torch's global generator.
        callbacks: Called at selections and ends of epochs, outside the clocks.

    Attributes:
        coreset: The rows and weights in use; None while on all data.
        epoch: Epochs done.
        history: One record an epoch.

    Raises:
        ArgumentError: An argument is wrong; the message names it.
        UnknownNameError: There is no such selector; suggests the nearest.

    Example:
        >>> x, y = torch.rand(200, 8), torch.arange(200) % 2
        >>> model = nn.Linear(8, 2)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> trainer = CoresetTrainer(model, optimizer, nn.CrossEntropyLoss(), (x, y), every=2)
        >>> [record.rows for record in trainer.fit(4)]
        [20, 20, 20, 20]
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        loss: Callable[..., Tensor],
        data: Any,
        selector: str | Selector = "craig",
        fraction: int | float | str = 0.1,
        *,
        batch_size: int = 128,
        warmup_epochs: int = 0,
        every: int | None = 1,
        scheduler: Any = None,
        scheduler_unit: SchedulerUnit = "epoch",
        per_class: bool | None = None,
        weighted: bool = True,
        validation: Any = None,
        signals: Mapping[str, Any] | None = None,
        probe: Probe | None = None,
        feature_layer: str | nn.Module | None = None,
        transform: Callable[[Tensor], Tensor] | None = None,
        augment: Callable[[Tensor], Tensor] | None = None,
        device: torch.device | str | None = None,
        autocast: torch.dtype | None = None,
        workers: int = 0,
        drop_last: bool = False,
        seed: int = 0,
        callbacks: Iterable[Callback] = (),
    ) -> None:
        if not isinstance(model, nn.Module):
            raise ArgumentError(f"model must be a torch.nn.Module, not {type(model).__name__}")
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(
                f"optimizer must be a torch.optim.Optimizer, not {type(optimizer).__name__}"
            )
        whole_number("seed", seed)
        self.model, self.optimizer, self.weighted, self.seed = model, optimizer, weighted, seed
        self.warmup_epochs = whole_number("warmup_epochs", warmup_epochs)
        self.every = None if every is None else whole_number("every", every, least=1)
        losses = RowLosses(loss)
        self.data = training_data(data, workers=workers, seed=seed)
        if device is not None:
            model.to(device)
        self.probe = probe or Probe(
            model,
            loss=None if losses.plain_cross_entropy else losses,
            feature_layer=feature_layer,
            batch_size=512,
            transform=transform,
            autocast=autocast,
        )
        self._steps = Steps(
            model,
            optimizer,
            losses,
            Schedule(scheduler, scheduler_unit, optimizer),
            self.data,
            self.probe.device,
            whole_number("batch_size", batch_size, least=1),
            drop_last,
            transform,
            augment,
            autocast,
        )
        self._choice: Choice | None = None
        if selector != "full":
            self._choice = Choice(
                selector,
                fraction,
                self.data,
                self.probe,
                per_class=per_class,
                validation=_validation(validation),
                signals=signals,
            )
        self._recorder = None
        if self._choice is not None and self._choice.records:
            self._recorder = TrainingRecorder(len(self.data))
            if self.warmup_epochs == 0:
                raise ArgumentError(
                    f"warmup_epochs: {self._choice.selector.name} goes by what training on all "
                    "data shows, so at least one epoch of it is needed (two to see forgetting)"
                )
        self.callbacks = list(callbacks)
        self.coreset: Coreset | None = None
        self.epoch = 0
        self.history = History()
        self._chosen_at = 0
        self._stopped = False
        # Two streams: a selection that draws more must not change the order of the rows.
        self._orders = torch.Generator().manual_seed(seed)
        self._draws = torch.Generator().manual_seed(seed + 2**32)

    @property
    def seconds(self) -> float:
        """Spent on training and selecting so far; callbacks and checkpoints don't count."""
        return self.history.seconds

    def stop(self) -> None:
        """End `fit` after this epoch; for callbacks."""
        self._stopped = True

    def fit(self, epochs: int) -> History:
        """Train until `epochs` epochs are done, those of earlier calls included.

        Args:
            epochs: In all, warm-up included.

        Returns:
            One record an epoch.

        Raises:
            DivergedError: The loss became NaN or infinite.
        """
        whole_number("epochs", epochs)
        self._stopped = False
        for callback in self.callbacks:
            callback.on_fit_start(self, epochs)
        try:
            while self.epoch < epochs and not self._stopped:
                self._run_epoch()
        finally:
            for callback in self.callbacks:
                callback.on_fit_end(self, self.history)
        return self.history

    def _run_epoch(self) -> None:
        started, spent = self._now(), self.probe.cost
        selected = self._due()
        if selected:
            self._choose()
        select_seconds = self._now() - started
        passes = self.probe.cost - spent
        if selected and self.coreset is not None:
            for callback in self.callbacks:
                callback.on_selection(self, self.coreset)
        rows, weights = self._rows()
        started = self._now()
        outcome = self._steps.epoch(
            rows,
            weights,
            self._orders,
            recorder=self._recorder,
            diverged=self._diverged,
            progress=self._progress(),
        )
        self._steps.schedule.after_epoch(outcome.loss)
        train_seconds = self._now() - started - outcome.paused
        if self._recorder is not None:
            self._recorder.end_epoch()
        self.epoch += 1
        record = EpochRecord(
            self.epoch,
            outcome.rows,
            outcome.steps,
            outcome.loss,
            train_seconds,
            select_seconds,
            selected,
            outcome.learning_rate,
            passes.forward_passes,
            passes.backward_passes,
            report=dict(self.coreset.report) if self.coreset is not None else {},
        )
        self.history.records.append(record)
        for callback in self.callbacks:
            callback.on_epoch_end(self, record)

    def _due(self) -> bool:
        """Say whether rows are to be chosen before the epoch that comes."""
        if self._choice is None or self.epoch < self.warmup_epochs:
            return False
        if self.coreset is None:
            return True
        if self._choice.once or self.every is None:
            return False
        return self.epoch - self._chosen_at >= self.every

    def _choose(self) -> None:
        if self._choice is None:
            return
        pool = self._choice.pool(self._recorder)
        self.coreset = self._choice.choose(pool, self._draws)
        self._chosen_at = self.epoch

    def _rows(self) -> tuple[Tensor | None, Tensor | None]:
        """Return the rows to train on and their weights of mean 1; None, None for all."""
        if self.coreset is None:
            return None, None
        if not self.weighted:
            return self.coreset.indices, None
        weights = self.coreset.weights.double()
        return self.coreset.indices, (weights / weights.mean()).float()

    def _progress(self) -> Callable[[int, int], None] | None:
        watching = [c for c in self.callbacks if type(c).on_progress is not Callback.on_progress]
        if not watching:
            return None

        def tell(step: int, steps: int) -> None:
            for callback in watching:
                callback.on_progress(self, step, steps)

        return tell

    def _diverged(self, loss: float, step: int) -> Exception:
        warm_up = self.coreset is None
        return DivergedError(loss, self.epoch + 1, step, warm_up=warm_up, checkpoint=None)

    def _now(self) -> float:
        """Read the clock once all work queued on the device is done."""
        if self._steps.device.type == "cuda":
            torch.cuda.synchronize(self._steps.device)
        return working_time()


def _validation(validation: Any) -> TrainingData | None:
    return None if validation is None else training_data(validation)
