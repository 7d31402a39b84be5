"""Gradients of the replay loss of DER++ for the last layer, with the logits that were stored.

Source: Buzzega et al. 2020, "Dark Experience for General Continual Learning" (the loss). Formula:
with h the logits now, z those stored, p the softmax of h, the gradient for h of
α ‖h − z‖² / outputs + β CE(h, y) is

    2 α (h − z) / outputs + β (p − y),

the first term on the outputs that existed when z was stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from buffers.incoming import Incoming
from buffers.memory import Memory
from buffers.signals import SignalSource
from clcore import Probe
from clcore.errors import ArgumentError

GONE = -math.inf
"""Stands in a row of logits for an output that the model did not have yet."""
NONE = torch.empty(0, dtype=torch.int64)


class ReplayGradients(SignalSource):
    """Gradients of the replay loss for the logits, and the features that they go with."""

    def __init__(
        self, probe: Probe | None, features: str | None, gradient: str, alpha: float, beta: float
    ) -> None:
        super().__init__(probe, features)
        if gradient not in ("replay", "cross-entropy"):
            raise ArgumentError(
                f"gradient: got {gradient!r}; 'replay' or 'cross-entropy' is needed"
            )
        for name, value in (("alpha", alpha), ("beta", beta)):
            good = isinstance(value, int | float) and not isinstance(value, bool)
            if not (good and math.isfinite(value) and value >= 0):
                raise ArgumentError(f"{name}: got {value!r}; a number of at least 0 is needed")
        if beta == 0 and gradient == "replay":
            # At the end of a task new rows are as they are stored: only β gives them a gradient.
            raise ArgumentError("beta: got 0, which leaves new rows no gradient to match")
        self.gradient, self.alpha, self.beta = gradient, float(alpha), float(beta)
        self._new: dict[str, Tensor] = {}
        self._rows = NONE

    def has_model(self, incoming: Incoming) -> bool:
        """Whether there is a model to run rows through."""
        return self.probe is not None or getattr(incoming.agent, "model", None) is not None

    def open(self, memory: Memory, incoming: Incoming, rows: Tensor) -> None:
        """Run the candidates through the model, once."""
        self.close()
        self._new, self._rows = self._signals(memory, incoming, NONE, rows), rows
        logits = self._new.get("logits")
        if logits is not None:
            top = int(incoming.y[rows].max())
            if top >= logits.shape[1]:
                raise ArgumentError(
                    f"y: got label {top}, but the logits have {logits.shape[1]} outputs"
                )

    def close(self) -> tuple[Tensor, Tensor] | None:
        """Forget them.

        Returns:
            The candidates' rows and their logits, where there were any.
        """
        rows, logits = self._rows, self._new.get("logits")
        self._new, self._rows = {}, NONE
        return None if logits is None else (rows, logits)

    @property
    def width(self) -> int | None:
        """How many outputs the model has."""
        logits = self._new.get("logits")
        return None if logits is None else logits.shape[1]

    def correct(self, y: Tensor) -> Tensor:
        """Which of the candidates, whose labels are given, the model gets right: bool `[m]`."""
        logits = self._new.get("logits")
        if logits is None:  # the gradient is p − 1 for the label and p for the others
            logits = self._new["logit_gradients"].clone()
            logits[torch.arange(len(y), device=logits.device), y.to(logits.device)] += 1
        return logits.argmax(1).cpu() == y

    def read(
        self, names: Iterable[str], memory: Memory, incoming: Incoming, stored: Tensor, new: Tensor
    ) -> dict[str, Tensor]:
        """See `SignalSource.read`."""
        places = torch.searchsorted(self._rows, new)
        signals = {name: values[places.to(values.device)] for name, values in self._new.items()}
        if len(stored):
            old = self._signals(memory, incoming, stored, NONE)
            signals = {name: torch.cat((old[name], values)) for name, values in signals.items()}
        now = signals.pop("logits", None)
        if now is not None:
            y = torch.cat((memory.store.y.cpu()[stored], incoming.y[new])).to(now.device)
            errors = now.softmax(1)
            errors[torch.arange(len(y), device=now.device), y] -= 1
            if self.gradient == "replay":
                errors = self.beta * errors
                held = memory.store.extra.get("logits")
                if len(stored) and held is not None and held.ndim == 2:
                    then = widened(held[stored.to(held.device)], now.shape[1]).to(now)
                    errors[: len(stored)] += self.alpha * _pull(now[: len(stored)], then)
                given = incoming.columns.get("logits")
                if given is not None:
                    then = given[new.to(given.device)].to(now)
                    errors[len(stored) :] += self.alpha * _pull(now[len(stored) :], then)
            signals["logit_gradients"] = errors
        for name, values in signals.items():
            self.check(values, name)
        return signals

    def _signals(
        self, memory: Memory, incoming: Incoming, stored: Tensor, new: Tensor
    ) -> dict[str, Tensor]:
        """Features and current logits, or the gradients that the caller gave."""
        given = incoming.columns
        if "logit_gradients" in given:
            return super().read(("features", "logit_gradients"), memory, incoming, stored, new)
        logits = given.get("logits")
        if logits is not None:
            if logits.ndim != 2 or not logits.is_floating_point():
                raise ArgumentError(
                    f"logits: got {logits.dtype} {tuple(logits.shape)}; floats [n, outputs] are "
                    "needed"
                )
            self.check(logits, "logits")
        if logits is not None and not self.has_model(incoming):
            signals = super().read(("features",), memory, incoming, stored, new)
            if len(stored):
                held = memory.store.extra["logits"]
                logits = widened(held[stored.to(held.device)], logits.shape[1])
            else:
                logits = logits[new.to(logits.device)]
            return {**signals, "logits": logits}
        if "features" in given or self.features is not None:
            signals = super().read(("features",), memory, incoming, stored, new)
            signals |= self._probed(["logits"], memory, incoming, stored, new)
        else:
            signals = self._probed(["features", "logits"], memory, incoming, stored, new)
        for name, values in signals.items():
            self.check(values, name)
        return signals


def _pull(now: Tensor, then: Tensor) -> Tensor:
    """The gradient of the mean squared distance over the outputs that there were: `[n, C]`."""
    there = then > GONE
    gap = torch.where(there, now - torch.where(there, then, 0.0), 0.0)
    return 2 * gap / there.sum(1, keepdim=True).clamp_min(1)


def widened(logits: Tensor, outputs: int) -> Tensor:
    """Add outputs that were not there yet: `[n, outputs]`."""
    missing = outputs - logits.shape[1]
    if missing <= 0:
        return logits
    return torch.cat((logits, logits.new_full((len(logits), missing), GONE)), 1)
