"""When rows are chosen, and which are in use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from clcore.checks import whole_number
from clcore.coreset import Coreset, Cost
from clcore.errors import ArgumentError
from clcore.pool import Pool
from clcore.recorder import TrainingRecorder
from strategies.offline.choosing import Choice
from strategies.offline.drift import Drift, gradient_error


class Selections:
    """The rows in use, and the rule by which they are chosen anew.

    Args:
        choice: How rows are chosen; None: never, all rows are used.
        rows: How many rows there are.
        warmup_epochs: Epochs on all rows first.
        every: Epochs between two choices; None to choose once.
        reselect: Choose again by drift of the gradient, in place of `every`; or None.
        seed: Of what the selector draws.

    Attributes:
        coreset: The rows in use; None for all.
        error: The relative gradient error when it was last measured, or None.
        measured: Whether it was measured in the last call of `refresh`.

    Raises:
        ArgumentError: A number is wrong, or the selector can't be used so.
    """

    def __init__(
        self,
        choice: Choice | None,
        rows: int,
        *,
        warmup_epochs: int,
        every: int | None,
        reselect: Drift | None,
        seed: int,
    ) -> None:
        self.choice = choice
        self.warmup_epochs = whole_number("warmup_epochs", warmup_epochs)
        self.every = None if every is None else whole_number("every", every, least=1)
        if reselect is not None and not isinstance(reselect, Drift):
            raise ArgumentError(f"reselect must be a Drift or None, not {reselect!r}")
        if reselect is not None and choice is not None and choice.data.labels is None:
            raise ArgumentError("reselect: drift is measured by class labels, which data lack")
        self.reselect = reselect
        self.recorder: TrainingRecorder | None = None
        if choice is not None and choice.records:
            self.recorder = TrainingRecorder(rows)
            if self.warmup_epochs == 0:
                raise ArgumentError(
                    f"warmup_epochs: {choice.selector.name} goes by what training on all data "
                    "shows, so at least one epoch of it is needed (two to see forgetting)"
                )
        # A stream of its own: a selection that draws more must not change the order of the rows.
        self._draws = torch.Generator().manual_seed(seed + 2**32)
        self.coreset: Coreset | None = None
        self.error: float | None = None
        self.measured = False
        self._bound, self._chosen_at = 0.0, 0
        self._sample: Tensor | None = None

    def refresh(self, epoch: int) -> bool:
        """Choose rows, if it is time.

        Args:
            epoch: Epochs done so far.

        Returns:
            Whether rows were chosen.
        """
        self.measured = False
        if self.choice is None or epoch < self.warmup_epochs:
            return False
        if self.coreset is not None and not self._due(self.choice, self.coreset, epoch):
            return False
        pool = self.choice.pool(self.recorder)
        self.coreset = self.choice.choose(pool, self._draws)
        self._require_rows(self.coreset, self.choice.selector.name)
        self._chosen_at = epoch
        if self.reselect is not None:
            self._sample = self.reselect.rows(len(pool), self._draws)
            if not (pool.has("logit_gradients") and pool.has("features")):
                pool = self.choice.model_pool()
            self._measure(pool, self.coreset)
            self._bound = self.reselect.factor * (self.error or 0.0)
        return True

    def weights(self, *, weighted: bool) -> Tensor | None:
        """Return the weights of the rows in use, float32 `[k]` of mean 1; None for ones."""
        if self.coreset is None or not weighted:
            return None
        weights = self.coreset.weights.double()
        return (weights / weights.mean()).float()

    @staticmethod
    def _require_rows(coreset: Coreset, name: str) -> None:
        if len(coreset) == 0:
            raise ArgumentError(f"selector: {name} chose no rows, so there is nothing to train on")
        if float(coreset.weights.sum()) <= 0:
            raise ArgumentError(f"selector: {name} gave weight to none of its {len(coreset)} rows")

    def state_dict(self) -> dict[str, Any]:
        """Return what the next refresh depends on."""
        coreset = self.coreset
        return {
            "coreset": None
            if coreset is None
            else {
                "indices": coreset.indices,
                "weights": coreset.weights,
                "gains": coreset.gains,
                "report": dict(coreset.report),
                "cost": [
                    coreset.cost.seconds,
                    coreset.cost.forward_passes,
                    coreset.cost.backward_passes,
                    coreset.cost.distance_evaluations,
                ],
            },
            "draws": self._draws.get_state(),
            "chosen_at": self._chosen_at,
            "error": self.error,
            "bound": self._bound,
            "sample": self._sample,
            "recorder": None if self.recorder is None else self.recorder.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what `state_dict` returned."""
        saved = state["coreset"]
        self.coreset = None
        if saved is not None:
            self.coreset = Coreset(
                saved["indices"],
                saved["weights"],
                saved["gains"],
                Cost(*saved["cost"]),
                saved["report"],
            )
        self._draws.set_state(state["draws"])
        self._chosen_at, self.error = state["chosen_at"], state["error"]
        self._bound, self._sample = state["bound"], state["sample"]
        if self.recorder is not None:
            self.recorder.load_state_dict(state["recorder"])

    def _due(self, choice: Choice, coreset: Coreset, epoch: int) -> bool:
        if choice.once:
            return False
        since = epoch - self._chosen_at
        if self.reselect is None:
            return self.every is not None and since >= self.every
        if since % self.reselect.every:
            return False
        self._measure(choice.model_pool(), coreset)
        return self.error is not None and self.error > self._bound

    def _measure(self, pool: Pool, coreset: Coreset) -> None:
        self.error = gradient_error(pool, coreset.indices, coreset.weights, rows=self._sample)
        self.measured = True
