"""Follows one cell: what is measured goes to its event log, and in the end to its result."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.offline.plan import OfflineCell
from benchmarks.offline.record import OfflineRun, SelectionRecord, Weights
from benchmarks.reporting.events import EventLog
from clcore.coreset import Coreset

BINS = 24
"""Bins of the histogram of weights."""


class Course:
    """What has been measured of a cell so far.

    A learner (`network.run_network_cell`, `convex.run_convex_cell`) calls `point` for the untrained
    model and after each evaluated epoch, `selection` for each coreset, and sets the attributes
    that follow; `finish` makes the result.

    Args:
        log: Where events go.
        folder: The cell's folder.
        cell: The cell.
        labels: Labels of the training rows as they are trained on, int64 `[n]`; None for none.
        wrong: bool `[n]`: rows whose label was spoilt; None where none was.

    Attributes:
        train_seconds: Spent in training so far.
        select_seconds: Spent in selection so far, `pretrain_seconds` included.
        pretrain_seconds: Part of it: training the model that a selector reads.
        cpu_seconds: Processor time of training and selection so far; None where it is not measured.
        evaluate_seconds: Spent in evaluating so far.
        forward: Samples sent forward by training.
        backward: Samples sent backward by training.
        select_forward: Samples sent forward for selections.
        select_backward: Samples sent backward for selections.
        extra: Further fields of the result.
    """

    def __init__(
        self,
        log: EventLog,
        folder: Path,
        cell: OfflineCell,
        labels: Tensor | None,
        wrong: Tensor | None = None,
    ) -> None:
        self.log, self.folder, self.cell = log, folder, cell
        self.labels, self.wrong = labels, wrong
        self.rows = 0 if labels is None else len(labels)
        self.train_seconds = self.select_seconds = self.pretrain_seconds = 0.0
        self.evaluate_seconds = 0.0
        self.cpu_seconds: float | None = None
        self.forward = self.backward = self.select_forward = self.select_backward = 0
        self.extra: dict[str, Any] = {}
        self.curves: dict[str, list[Any]] = {
            name: []
            for name in ("epochs", "seconds", "selection_seconds", "cpu_seconds", "loss",
                         "loss_residual", "test_error")
        }  # fmt: skip
        self.selections: list[dict[str, Any]] = []
        self.coreset: Coreset | None = None
        self._total = torch.zeros(self.rows, dtype=torch.float64)

    def point(
        self,
        epoch: float,
        iteration: int,
        *,
        loss: float,
        test_error: float,
        loss_residual: float | None = None,
        **more: Any,
    ) -> None:
        """Take down one measurement, at the clocks as they are now.

        Args:
            epoch: Epochs of training so far; 0 for the untrained model.
            iteration: Steps so far.
            loss: Objective on all training rows.
            test_error: Share of the test rows that is classified wrongly.
            loss_residual: Objective minus its minimum, where that is known.
            **more: Further plain values for the event.
        """
        measured = {
            "epochs": epoch,
            "seconds": self.train_seconds + self.select_seconds,
            "selection_seconds": self.select_seconds,
            "cpu_seconds": self.cpu_seconds,
            "loss": loss,
            "loss_residual": loss_residual,
            "test_error": test_error,
        }
        for name, value in measured.items():
            self.curves[name].append(value)
        measured["epoch"] = measured.pop("epochs")
        self.log.write({"event": "point", "iteration": iteration, **measured, **more})

    def selection(
        self,
        epoch: float,
        iteration: int,
        coreset: Coreset,
        seconds: float,
        *,
        gradient_error: float | None = None,
        gradient_norm: float | None = None,
        error_bound: float | None = None,
    ) -> None:
        """Take down one selection; the clocks are the caller's.

        Args:
            epoch: Epochs of training before it.
            iteration: Steps before it.
            coreset: What was chosen.
            seconds: What it took.
            gradient_error: See `SelectionRecord`.
            gradient_norm: See `SelectionRecord`.
            error_bound: See `SelectionRecord`.
        """
        self.coreset = coreset
        scaled = coreset.weights.double() / coreset.weights.double().mean()
        self._total[coreset.indices] += scaled.cpu()
        record = SelectionRecord(
            epoch=epoch,
            rows=len(coreset.indices),
            seconds=seconds,
            gradient_error=gradient_error,
            gradient_norm=gradient_norm,
            error_bound=error_bound,
        ).model_dump(mode="json")
        self.selections.append(record)
        self.log.write(
            {
                "event": "coreset",
                "iteration": iteration,
                **record,
                "class_counts": self._class_counts(coreset.indices),
                "greatest_weight": float(scaled.max()),
                "effective_rows": float(scaled.sum() ** 2 / scaled.square().sum()),
                "rows_ever_chosen": int((self._total > 0).sum()),
            }
        )

    @property
    def total_weight(self) -> Tensor:
        """How much each row has weighed over all selections, float64 `[n]`; 0: never chosen."""
        return self._total

    def finish(self) -> OfflineRun:
        """Make the result."""
        curves = {name: None if None in values else values for name, values in self.curves.items()}
        chosen = {} if self.coreset is None else self._of_coreset(self.coreset)
        return OfflineRun.model_validate(
            {
                "method": self.cell.method,
                "fraction": self.cell.fraction,
                "optimizer": self.cell.optimizer,
                "seed": self.cell.seed,
                "curves": curves,
                "final_accuracy": 1.0 - self.curves["test_error"][-1],
                "seconds": {
                    "train": self.train_seconds,
                    "select": self.select_seconds,
                    "evaluate": self.evaluate_seconds,
                },
                "pretrain_seconds": self.pretrain_seconds,
                "passes": {"forward": self.forward, "backward": self.backward},
                "selection_passes": {
                    "forward": self.select_forward,
                    "backward": self.select_backward,
                },
                "rows": self.rows,
                "selections": self.selections,
                "all_class_counts": self._class_counts(torch.arange(self.rows)),
                **chosen,
                **self.extra,
            }
        )

    def _of_coreset(self, coreset: Coreset) -> dict[str, Any]:
        weights = coreset.weights.double().cpu()
        scaled = weights / weights.mean()
        rows = coreset.indices.cpu()
        sums: dict[str, float] = {}
        if self.labels is not None:
            totals = torch.zeros(int(self.labels.max()) + 1, dtype=torch.float64)
            totals.index_add_(0, self.labels[rows], scaled)
            sums = {str(label): float(total) for label, total in enumerate(totals)}
        return {
            "class_counts": self._class_counts(rows),
            "class_weights": sums,
            "rows_ever_chosen": int((self._total > 0).sum()),
            "wrong_labels": None if self.wrong is None else float(self.wrong[rows].double().mean()),
            "weights": weights_of(scaled).model_dump(mode="json"),
        }

    def _class_counts(self, rows: Tensor) -> dict[str, int]:
        if self.labels is None:
            return {}
        classes = int(self.labels.max()) + 1
        counts = torch.bincount(self.labels[rows.cpu()], minlength=classes)
        return {str(label): int(count) for label, count in enumerate(counts)}

    # -- kept in checkpoints -----------------------------------------------------------------

    _NUMBERS = (
        "train_seconds",
        "select_seconds",
        "pretrain_seconds",
        "evaluate_seconds",
        "cpu_seconds",
        "forward",
        "backward",
        "select_forward",
        "select_backward",
    )

    def state_dict(self) -> dict[str, Any]:
        """Return what has been measured so far, as plain values and tensors."""
        rows, weights = torch.empty(0, dtype=torch.int64), torch.empty(0)
        if self.coreset is not None:
            rows, weights = self.coreset.indices.cpu(), self.coreset.weights.cpu()
        return {
            "curves": {name: list(values) for name, values in self.curves.items()},
            "selections": list(self.selections),
            "numbers": {name: getattr(self, name) for name in self._NUMBERS},
            "rows": rows,
            "weights": weights,
            "total_weight": self._total,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.curves = {name: list(values) for name, values in state["curves"].items()}
        self.selections = list(state["selections"])
        for name in self._NUMBERS:
            setattr(self, name, state["numbers"][name])
        self._total = state["total_weight"]
        self.coreset = None
        if len(state["rows"]):
            self.coreset = Coreset.of(state["rows"], weights=state["weights"])

    def write_coreset(self, file: Path) -> None:
        """Write rows and weights of the last coreset, and the total weight of every row."""
        assert self.coreset is not None
        save_file(
            {
                "indices": self.coreset.indices.cpu().contiguous(),
                "weights": self.coreset.weights.float().cpu().contiguous(),
                "total_weight": self._total,
            },
            file,
        )


def weights_of(scaled: Tensor) -> Weights:
    """Describe weights of mean 1.

    Args:
        scaled: float64 `[k]`, none negative.
    """
    greatest = max(float(scaled.max()), 1.0)
    edges = torch.linspace(0.0, greatest, BINS + 1, dtype=torch.float64)
    counts = torch.histogram(scaled, bins=edges).hist
    return Weights(
        least=float(scaled.min()),
        median=float(scaled.median()),
        greatest=float(scaled.max()),
        effective_rows=float(scaled.sum() ** 2 / scaled.square().sum()),
        edges=edges.tolist(),
        counts=[int(count) for count in counts],
    )
