"""What training shows of each sample: its losses over the epochs and how often it is forgotten.

Source: forgetting events: Toneva et al. 2019, "An empirical study of example forgetting".
Formula: a sample is forgotten when it is wrong after it was right at its last visit; its count is
    the number of such events. A sample that was never right has no events to count and is the
    hardest of all: it gets the number of epochs + 1, which no other can reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from clcore.checks import as_tensor, integer_column, require_finite, whole_number
from clcore.errors import ArgumentError, FormatError, SignalError
from clcore.probe.closed_forms import require_classes

_SCHEMA = 1


class TrainingRecorder:
    """Records losses and right answers while a model is trained.

    Call `update` with what a training step has at hand anyway, and `end_epoch` after each epoch.

    Args:
        rows: n, the samples of the training set.

    Raises:
        ArgumentError: If that is not a whole number of at least 1.

    Example:
        >>> recorder = TrainingRecorder(3)
        >>> for right in ([1, 0, 0], [0, 1, 0]):
        ...     recorder.update([0, 1, 2], losses=torch.rand(3), correct=right)
        ...     recorder.end_epoch()
        >>> recorder.forgetting_events().tolist()
        [1.0, 0.0, 3.0]
    """

    def __init__(self, rows: int) -> None:
        self._rows = whole_number("rows", rows, least=1)
        self._epochs: list[Tensor] = []
        self._sums = torch.zeros(self._rows, dtype=torch.float64)
        self._counts = torch.zeros(self._rows, dtype=torch.int64)
        self._events = torch.zeros(self._rows, dtype=torch.int64)
        # -1: not seen yet; else whether the last answer was right.
        self._last = torch.full((self._rows,), -1, dtype=torch.int8)
        self._learnt = torch.zeros(self._rows, dtype=torch.bool)

    def __len__(self) -> int:
        return self._rows

    @property
    def epochs(self) -> int:
        """Epochs that have ended."""
        return len(self._epochs)

    def update(
        self,
        indices: Any,
        *,
        losses: Any = None,
        correct: Any = None,
        logits: Any = None,
        labels: Any = None,
    ) -> None:
        """Take what one training step showed.

        Args:
            indices: Integers `[b]`: the rows of the batch in the training set.
            losses: `[b]`: the loss of each; by default cross-entropy, where there are logits.
            correct: `[b]`: whether each was right (booleans, or 0 and 1); by default whether the
                largest logit is the label's, where there are logits.
            logits: `[b, C]`, with `labels` in place of `losses` and `correct`.
            labels: Integers `[b]`.

        A row that comes twice counts twice, in the order of the batch.

        Raises:
            ArgumentError: If rows are out of range, columns differ in length, or neither losses,
                right answers nor logits are given.
            SignalError: If a loss or logit is NaN or infinite; nothing of the step is taken then.
        """
        rows = integer_column("indices", indices, None).cpu()
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < self._rows:
            bad = int(rows[(rows < 0) | (rows >= self._rows)][0])
            raise ArgumentError(
                f"indices holds {bad}, which is not one of the rows 0 to {self._rows - 1}"
            )
        if (logits is None) != (labels is None):
            raise ArgumentError("logits and labels belong together: give both or none")
        if logits is not None:
            z, y = _checked_logits(logits, labels, len(rows))
            losses = functional.cross_entropy(z, y, reduction="none") if losses is None else losses
            correct = z.argmax(dim=1) == y if correct is None else correct
        if losses is None and correct is None:
            raise ArgumentError("update needs losses=, correct=, or logits= with labels=")
        values = None if losses is None else _checked_losses(losses, len(rows))
        right = None if correct is None else _checked_answers(correct, len(rows))
        if values is not None:
            self._sums.index_add_(0, rows, values)
            self._counts.index_add_(0, rows, torch.ones_like(rows))
        if right is not None:
            self._answer(rows, right)

    def end_epoch(self) -> None:
        """Mark the end of an epoch.

        Raises:
            ArgumentError: If nothing was recorded since the last one.
        """
        if not bool(self._counts.any()) and not bool((self._last >= 0).any()):
            raise ArgumentError("end_epoch before any update: nothing was recorded")
        means = self._sums / self._counts
        self._epochs.append(means.to(torch.float32))
        self._sums.zero_()
        self._counts.zero_()

    def forgetting_events(self) -> Tensor:
        """Return how often each sample was forgotten, float32 `[n]`.

        A sample that was never right, or never seen, has the number of epochs + 1.

        Raises:
            ArgumentError: If no right answers were recorded.
        """
        if not bool((self._last >= 0).any()):
            raise ArgumentError("no right or wrong answers were recorded: give correct= or logits=")
        most = max(self.epochs + 1, int(self._events.max()) + 1)
        return torch.where(self._learnt, self._events, most).to(torch.float32)

    def loss_trajectories(self) -> Tensor:
        """Return the mean loss of each sample in each epoch, float32 `[n, T]`.

        In an epoch that a sample was not seen in it keeps the loss of the epoch before, and before
        its first the loss of its first. A sample never seen has the mean loss of each epoch.

        Raises:
            ArgumentError: If no epoch with losses has ended.
        """
        if not self._epochs or not any(bool(torch.isfinite(e).any()) for e in self._epochs):
            raise ArgumentError("no epoch with losses has ended: call update(losses=), end_epoch()")
        return _filled(torch.stack(self._epochs, dim=1))

    def signals(self) -> dict[str, Tensor]:
        """Return what was recorded, for `Pool(**recorder.signals())`.

        Returns:
            `forgetting_events` and `loss_trajectories`, each where there is something to tell.
        """
        found: dict[str, Tensor] = {}
        if bool((self._last >= 0).any()):
            found["forgetting_events"] = self.forgetting_events()
        if any(bool(torch.isfinite(epoch).any()) for epoch in self._epochs):
            found["loss_trajectories"] = self.loss_trajectories()
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return everything, as tensors and whole numbers; also in the middle of an epoch."""
        empty = torch.empty(self._rows, 0)
        return {
            "schema": _SCHEMA,
            "epochs": torch.stack(self._epochs, dim=1) if self._epochs else empty,
            "sums": self._sums.clone(),
            "counts": self._counts.clone(),
            "events": self._events.clone(),
            "last": self._last.clone(),
            "learnt": self._learnt.clone(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken.

        Args:
            state: What `state_dict` returned.

        Raises:
            FormatError: If it is not that, or of another number of rows.
        """
        own = self.state_dict()
        if not isinstance(state, Mapping) or set(state) != set(own) or state["schema"] != _SCHEMA:
            raise FormatError("this is no state of a TrainingRecorder of this version")
        for name, values in own.items():
            if not isinstance(values, Tensor):
                continue
            given = state[name]
            same = isinstance(given, Tensor) and given.dtype == values.dtype
            if not same or given.ndim != values.ndim or len(given) != self._rows:
                raise FormatError(f"{name} of the state is not that of {self._rows} rows")
        # Copies: what was loaded must not change with this recorder.
        taken = {k: v.detach().cpu().clone() for k, v in state.items() if isinstance(v, Tensor)}
        self._epochs = [epoch.contiguous() for epoch in taken["epochs"].unbind(1)]
        self._sums, self._counts = taken["sums"], taken["counts"]
        self._events, self._last, self._learnt = taken["events"], taken["last"], taken["learnt"]

    def _answer(self, rows: Tensor, right: Tensor) -> None:
        if len(torch.unique(rows)) != len(rows):
            # A row that comes twice in a batch is answered twice, one after the other.
            for place in range(len(rows)):
                self._answer(rows[place : place + 1], right[place : place + 1])
            return
        self._events[rows] += ((self._last[rows] == 1) & ~right).to(torch.int64)
        self._last[rows] = right.to(torch.int8)
        self._learnt[rows] |= right


def _checked_logits(logits: Any, labels: Any, rows: int) -> tuple[Tensor, Tensor]:
    z = as_tensor("logits", logits).detach().cpu()
    if z.ndim != 2 or len(z) != rows:
        raise ArgumentError(f"logits must be [{rows}, C], not of shape {tuple(z.shape)}")
    require_finite("logits", z)
    y = integer_column("labels", labels, None).cpu()
    if len(y) != rows:
        raise ArgumentError(f"labels has {len(y)} rows where indices has {rows}")
    require_classes(y, z.shape[1])
    return z.to(torch.float32) if z.dtype is not torch.float64 else z, y


def _checked_losses(losses: Any, rows: int) -> Tensor:
    values = as_tensor("losses", losses).detach().cpu().to(torch.float64)
    if values.shape != (rows,):
        raise ArgumentError(f"losses must be [{rows}], not of shape {tuple(values.shape)}")
    require_finite("losses", values)
    return values


def _checked_answers(correct: Any, rows: int) -> Tensor:
    values = as_tensor("correct", correct).detach().cpu()
    if values.shape != (rows,):
        raise ArgumentError(f"correct must be [{rows}], not of shape {tuple(values.shape)}")
    if bool(((values != 0) & (values != 1)).any()):
        raise SignalError("correct must hold booleans, or 0 and 1")
    return values.to(torch.bool)


def _filled(values: Tensor) -> Tensor:
    """Fill what was not seen (NaN): from the epoch before, else the next, else the epoch's mean."""
    seen = torch.isfinite(values)
    places = torch.arange(values.shape[1]).expand_as(values)
    before = torch.where(seen, places, -1).cummax(dim=1).values
    first = seen.to(torch.uint8).argmax(dim=1, keepdim=True)
    filled = values.gather(1, torch.where(before < 0, first, before))
    never = ~seen.any(dim=1)
    if bool(never.any()):
        filled[never] = filled[~never].mean(dim=0)
    return filled
