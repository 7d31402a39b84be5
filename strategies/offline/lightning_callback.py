"""Coreset training inside Lightning: the training loader gives way to the weighted subset.

Needs `pip install 'clcore[lightning]'`. Each batch ends with the weights, in warm-up too (ones), so
a `training_step` reads

    x, y, weights = batch
    loss = weighted_loss(functional.cross_entropy(self(x), y, reduction="none"), weights)

Lightning asks for its loader once; that it asks again when another is due is not in its public
interface: `fit_loop._data_source` and `fit_loop._combined_loader` are written, as of Lightning 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from clcore.coreset import Coreset
from clcore.errors import ArgumentError
from clcore.probe import Probe
from clcore.selector import Selector
from clcore.weighted_subset import WeightedSubset
from strategies.offline.choosing import Choice
from strategies.offline.data import training_data
from strategies.offline.drift import Drift
from strategies.offline.heavy_rows import warn_of_heavy_rows
from strategies.offline.selections import Selections

try:
    from lightning.pytorch.callbacks import Callback
except ImportError as error:
    raise ImportError("this needs Lightning: pip install 'clcore[lightning]'") from error


class CoresetCallback(Callback):
    """Trains a LightningModule on a weighted subset that it keeps choosing anew.

    The training loader must be one `DataLoader` over a map-style data set of `(x, y)` items; its
    batch size, workers and collation stay. The module's `forward(x)` gives the logits. On several
    devices each chooses for itself, the same rows with the same seed. A choice with a row that
    outweighs the batch of a step is warned of, by the first process.

    Args:
        selector: A registered name or a selector.
        fraction: How many rows: a share, a percentage as text, or a whole number.
        warmup_epochs: Epochs on all data before rows are first chosen.
        every: Epochs between two choices; None to choose once.
        reselect: Choose again by drift of the gradient, in place of `every`; or None.
        per_class: See `CoresetTrainer`.
        loss: `loss(logits, labels)` giving one value a row; cross-entropy by default.
        transform: Applied to each batch of inputs for the selection alone.
        signals: Signals that do not depend on the model, `[n, ...]` by name.
        seed: Of the selections and of the orders of rows.

    Attributes:
        selections: The rows in use and when they were chosen; made when `fit` starts.
    """

    def __init__(
        self,
        selector: str | Selector = "craig",
        fraction: int | float | str = 0.1,
        *,
        warmup_epochs: int = 0,
        every: int | None = 1,
        reselect: Drift | None = None,
        per_class: bool | None = None,
        loss: Callable[..., Tensor] | None = None,
        transform: Callable[[Tensor], Tensor] | None = None,
        signals: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.selector, self.fraction, self.per_class = selector, fraction, per_class
        self.warmup_epochs, self.every, self.reselect = warmup_epochs, every, reselect
        self.loss, self.transform, self.signals, self.seed = loss, transform, signals, seed
        self.selections: Selections | None = None
        self._orders = torch.Generator().manual_seed(seed)
        self._loader: DataLoader[Any] | None = None
        self._waiting: Mapping[str, Any] | None = None

    @property
    def coreset(self) -> Coreset | None:
        """The rows and weights in use; None while on all data."""
        return None if self.selections is None else self.selections.coreset

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Take the loader that Lightning was given, and choose if there is no warm-up."""
        loader = trainer.fit_loop._data_source.dataloader()
        if not isinstance(loader, DataLoader) or loader.batch_size is None:
            raise ArgumentError(
                "the training loader must be one DataLoader with a batch size, not "
                f"{type(loader).__name__}"
            )
        self._loader = loader
        data = training_data(loader.dataset)
        probe = Probe(pl_module, loss=self.loss, transform=self.transform, batch_size=512)
        choice = Choice(
            self.selector,
            self.fraction,
            data,
            probe,
            per_class=self.per_class,
            signals=self.signals,
        )
        if choice.records:
            raise ArgumentError(
                f"selector: {choice.selector.name} goes by what a training loop records; train "
                "with CoresetTrainer"
            )
        self.selections = Selections(
            choice,
            len(data),
            warmup_epochs=self.warmup_epochs,
            every=self.every,
            reselect=self.reselect,
            seed=self.seed,
        )
        if self._waiting is not None:
            self.selections.load_state_dict(self._waiting["selections"])
            self._orders.set_state(self._waiting["orders"])
            self._waiting = None
        if self.selections.refresh(trainer.current_epoch):
            _warn(trainer, loader, self.selections)
        self._replace(trainer, loader, self.selections)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Choose for the next epoch, if it is time."""
        if self.selections is None or self._loader is None:
            return
        following = trainer.current_epoch + 1
        if following == trainer.max_epochs:
            return  # a fit that goes on from here chooses when it starts
        if self.selections.refresh(following):
            _warn(trainer, self._loader, self.selections)
            self._replace(trainer, self._loader, self.selections)

    def state_dict(self) -> dict[str, Any]:
        """Return what goes into Lightning's checkpoints."""
        if self.selections is None:
            return {}
        return {"selections": self.selections.state_dict(), "orders": self._orders.get_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep what a checkpoint held until the data are there."""
        self._waiting = state_dict or None

    def _replace(self, trainer: Any, loader: DataLoader[Any], selections: Selections) -> None:
        dataset: Any = loader.dataset
        coreset = selections.coreset
        subset = WeightedSubset(dataset, range(len(dataset)) if coreset is None else coreset)
        trainer.fit_loop._data_source.instance = subset.loader(
            loader.batch_size or 1,
            generator=self._orders,
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
            pin_memory=loader.pin_memory,
            drop_last=loader.drop_last,
        )
        # Lightning makes its loaders anew before the next epoch when it has none.
        trainer.fit_loop._combined_loader = None


def _warn(trainer: Any, loader: DataLoader[Any], selections: Selections) -> None:
    """Warn of rows that outweigh a step, which all devices and accumulated batches make."""
    choice, coreset = selections.choice, selections.coreset
    if choice is None or coreset is None or not trainer.is_global_zero:
        return
    rows = (loader.batch_size or 1) * trainer.world_size * trainer.accumulate_grad_batches
    warn_of_heavy_rows(coreset, choice.selector.name, rows)
