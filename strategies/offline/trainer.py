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
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from clcore.checks import whole_number
from clcore.clock import working_time
from clcore.coreset import Coreset
from clcore.errors import ArgumentError, FormatError
from clcore.probe import Probe
from clcore.selector import Selector
from strategies.offline.callbacks import Callback
from strategies.offline.checkpoint import put_state, take_state
from strategies.offline.choosing import Choice
from strategies.offline.data import training_data
from strategies.offline.divergence import DivergedError
from strategies.offline.drift import Drift
from strategies.offline.heavy_rows import warn_of_heavy_rows
from strategies.offline.history import EpochRecord, History
from strategies.offline.losses import RowLosses
from strategies.offline.progress import ProgressBar
from strategies.offline.schedule import Schedule, SchedulerUnit
from strategies.offline.selections import Selections
from strategies.offline.state_file import read_state, write_state
from strategies.offline.steps import Steps

_PROBE_BATCH = 512
"""Rows that the default probe sends through the model at a time."""


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
        reselect: Choose again by drift of the gradient, `Drift(factor=1.5)`, in place of `every`.
        error: ε: choose, in place of `fraction`, as few rows as keep a certified error of this
            share of Σ ‖∇f_i‖ (see `clcore.select_within`); the coreset's report certifies it.
        per_class: True: every class gets its share of the rows; False: one choice over all rows;
            None: as the selector does by itself (CRAIG and GradMatch go by class).
        weighted: True: the weights of the coreset count in the loss, with a warning, once a fit,
            where a row weighs more than one and a half batches; `"sampling"`: each row is trained
            on as often as it weighs, which is the same on average and bears weights of hundreds;
            False: they are left out.
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
        workers: Processes that read a data set. They keep random states of their own, so that with
            random transforms inside the data set a resumed run differs; `augment` does not.
        drop_last: Leave out an incomplete last batch.
        seed: Of the orders of rows and of the selections. Dropout and augmentation draw from
            torch's global generator.
        callbacks: Called at selections and ends of epochs, outside the clocks.
        checkpoint: File that is written before the first epoch and after each; or None.
        checkpoint_every: Epochs between two checkpoints; the last epoch of a `fit` has one too.
        progress: Show a progress bar.

    Attributes:
        model: As given.
        optimizer: As given.
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
        reselect: Drift | None = None,
        error: float | None = None,
        per_class: bool | None = None,
        weighted: bool | Literal["sampling"] = True,
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
        checkpoint: str | Path | None = None,
        checkpoint_every: int = 1,
        progress: bool = False,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise ArgumentError(f"model must be a torch.nn.Module, not {type(model).__name__}")
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(
                f"optimizer must be a torch.optim.Optimizer, not {type(optimizer).__name__}"
            )
        if not isinstance(weighted, bool) and weighted != "sampling":
            raise ArgumentError(f"weighted must be True, False or 'sampling', not {weighted!r}")
        self.model, self.optimizer, self.weighted = model, optimizer, weighted
        self.seed = whole_number("seed", seed)
        losses = RowLosses(loss)
        if device is not None:
            model.to(device)
        if probe is not None and probe.model is not model:
            raise ArgumentError("probe is of another model than the one that is trained")
        self.probe = probe or Probe(
            model,
            loss=None if losses.plain_cross_entropy else losses,
            feature_layer=feature_layer,
            batch_size=_PROBE_BATCH,
            transform=transform,
            autocast=autocast,
        )
        pin = self.probe.device.type == "cuda"
        self.data = training_data(data, workers=workers, seed=seed, pin_memory=pin)
        self.steps = Steps(
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
        choice = None
        if selector == "full" and error is not None:
            raise ArgumentError("error: with selector='full' no rows are chosen")
        if selector != "full":
            choice = Choice(
                selector,
                fraction,
                self.data,
                self.probe,
                per_class=per_class,
                validation=None if validation is None else training_data(validation),
                signals=signals,
                error=error,
            )
        self.selections = Selections(
            choice,
            len(self.data),
            warmup_epochs=warmup_epochs,
            every=every,
            reselect=reselect,
            seed=seed,
        )
        self.callbacks = [*callbacks, *([ProgressBar()] if progress else [])]
        self.checkpoint = None if checkpoint is None else Path(checkpoint)
        self.checkpoint_every = whole_number("checkpoint_every", checkpoint_every, least=1)
        self.epoch = 0
        self.history = History()
        self.orders = torch.Generator().manual_seed(seed)
        self._saved_at: int | None = None
        self._stopped = self._warned = False

    @property
    def coreset(self) -> Coreset | None:
        """The rows and weights in use; None while on all data."""
        return self.selections.coreset

    @property
    def seconds(self) -> float:
        """Spent on training and selecting so far; callbacks and checkpoints don't count."""
        return self.history.seconds

    def stop(self) -> None:
        """End `fit` after this epoch; for callbacks."""
        self._stopped = True

    def fit(self, epochs: int, *, resume: bool = False) -> History:
        """Train until `epochs` epochs are done, those of earlier calls included.

        Args:
            epochs: In all, warm-up included.
            resume: Go on from `checkpoint`, where that file exists.

        Returns:
            One record an epoch.

        Raises:
            DivergedError: The loss became NaN or infinite; names the last good checkpoint.
            FormatError: The checkpoint is damaged, or of another trainer; or there is one of an
                earlier run and `resume` is not set.
        """
        whole_number("epochs", epochs)
        self._stopped = self._warned = False
        self._start(resume)
        for callback in self.callbacks:
            callback.on_fit_start(self, epochs)
        try:
            while self.epoch < epochs and not self._stopped:
                self._run_epoch()
                if self.epoch % self.checkpoint_every == 0 or self.epoch == epochs:
                    self._keep()
        finally:
            for callback in self.callbacks:
                callback.on_fit_end(self, self.history)
        return self.history

    def save(self, path: str | Path) -> None:
        """Save everything that the next epoch depends on; the data are not part of it.

        Args:
            path: Target file, safetensors; it is replaced only when the new one is complete.

        Raises:
            ArgumentError: A state holds more than tensors and plain values.
            OSError: The disk is full or the folder can't be written; the old file is kept.
        """
        write_state(Path(path), take_state(self))

    def load(self, path: str | Path) -> None:
        """Go on from a saved state: on the CPU bit for bit as if there had been no break.

        The global random states are set too. Loading never runs code.

        Args:
            path: A file that `save` or a `fit` with `checkpoint=` wrote.

        Raises:
            FormatError: The file is missing or damaged, or of a trainer made differently. A trainer
                that was only partly loaded should be made anew.
        """
        state = read_state(Path(path))
        try:
            put_state(self, state)
        except FormatError as error:
            raise FormatError(f"{path} can't be loaded: {error}") from error

    def _start(self, resume: bool) -> None:
        if self.checkpoint is None:
            if resume:
                raise ArgumentError("resume: there is no checkpoint= to resume from")
            return
        if self._saved_at is not None or self.epoch > 0:
            return
        if not self.checkpoint.exists():
            self._keep()
        elif resume:
            self.load(self.checkpoint)
            self._saved_at = self.epoch
        else:
            raise FormatError(
                f"{self.checkpoint} is there already: fit(..., resume=True) goes on from it, or "
                "remove it to start anew"
            )

    def _keep(self) -> None:
        if self.checkpoint is not None:
            self.save(self.checkpoint)
            self._saved_at = self.epoch

    def _run_epoch(self) -> None:
        started, spent = self._now(), self.probe.cost
        selected = self.selections.refresh(self.epoch)
        select_seconds = self._now() - started
        passes = self.probe.cost - spent
        choice, coreset = self.selections.choice, self.selections.coreset
        if selected and choice is not None and coreset is not None:
            if self.weighted is True and not self._warned:
                name, batch = choice.selector.name, self.steps.batch_size
                # 4: who called `fit`.
                self._warned = warn_of_heavy_rows(coreset, name, batch, stacklevel=4)
            for callback in self.callbacks:
                callback.on_selection(self, coreset)
        started = self._now()
        outcome = self.steps.epoch(
            None if coreset is None else coreset.indices,
            self.selections.weights(weighted=bool(self.weighted)),
            self.orders,
            recorder=self.selections.recorder,
            diverged=self._diverged,
            progress=self._progress(),
            sampling=self.weighted == "sampling",
        )
        self.steps.schedule.after_epoch(outcome.loss)
        train_seconds = self._now() - started - outcome.paused
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
            self.selections.error if self.selections.measured else None,
            {} if coreset is None else dict(coreset.report),
        )
        self.history.records.append(record)
        for callback in self.callbacks:
            callback.on_epoch_end(self, record)

    def _progress(self) -> Callable[[int, int], None] | None:
        watching = [c for c in self.callbacks if type(c).on_progress is not Callback.on_progress]
        if not watching:
            return None

        def tell(step: int, steps: int) -> None:
            for callback in watching:
                callback.on_progress(self, step, steps)

        return tell

    def _diverged(self, loss: float, step: int) -> Exception:
        return DivergedError(
            loss,
            self.epoch + 1,
            step,
            warm_up=self.coreset is None,
            checkpoint=None if self._saved_at is None else self.checkpoint,
            saved_epoch=self._saved_at,
        )

    def _now(self) -> float:
        """Read the clock once all work queued on the device is done."""
        if self.steps.device.type == "cuda":
            torch.cuda.synchronize(self.steps.device)
        return working_time()
