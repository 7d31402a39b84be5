"""The probe of whoever is learning: its model, its loss, kept as long as both stay."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import nn

from clcore import Probe
from clcore.errors import ArgumentError


class LearnerProbe:
    """Makes the probe of a learner's model, and keeps it as long as the learner lives.

    Args:
        options: Options of the probe.
    """

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        self.options = dict(options or {})
        self._kept: dict[str, Any] = {}

    def of(self, agent: Any) -> Probe:
        """Return the probe of a learner.

        Args:
            agent: An object with a `model`, and a `_criterion` or a callable `loss`; cross-entropy
                if it has neither.

        Returns:
            The same probe as long as model, loss and device are the same.

        Raises:
            ArgumentError: Its loss can't be had for each sample.
        """
        loss = _criterion(agent)
        # Identities, as modules compare by them and losses may not compare at all.
        now = (agent.model, loss, getattr(agent, "device", None))
        reference = self._kept.get("agent")
        if reference is not None and reference() is agent:
            before = self._kept["made for"]
            if before[0] is now[0] and before[1] is now[1] and before[2] == now[2]:
                probe: Probe = self._kept["probe"]
                return probe
        options = {"loss": sample_loss(loss), "device": now[2], **self.options}
        probe, kept = Probe(agent.model, **options), self._kept
        kept.clear()
        try:
            kept["agent"] = weakref.ref(agent, lambda _: kept.clear())
        except TypeError:  # such a learner (a SimpleNamespace) is kept until another one comes
            kept["agent"] = lambda: agent
        kept["made for"], kept["probe"] = now, probe
        return probe

    def __getstate__(self) -> dict[str, Any]:
        # A copy, or what is loaded from a file, meets its learner anew.
        return {"options": self.options, "_kept": {}}


def sample_loss(loss: Any) -> Any:
    """Return a loss as a probe takes it, None for plain cross-entropy.

    Args:
        loss: A loss as it is trained with, or None.

    Returns:
        The same with a value for each sample.

    Raises:
        ArgumentError: The loss has no `reduction` that could be left out.
    """
    if loss is None or _is_plain(loss):
        return None
    if isinstance(loss, nn.Module) and hasattr(loss, "reduction"):
        return loss  # a probe uses it unreduced
    if not isinstance(loss, nn.Module) and "reduction" in _parameters(loss):
        return partial(loss, reduction="none")
    name = getattr(loss, "__name__", type(loss).__name__)
    raise ArgumentError(
        f"loss: {name} has no `reduction`, so it gives no value for each sample, of which "
        "gradients could be taken; make the buffer with `probe=Probe(model, loss=...)` and a loss "
        "that does"
    )


def _is_plain(loss: Any) -> bool:
    return (
        type(loss) is nn.CrossEntropyLoss
        and loss.weight is None
        and loss.ignore_index == -100
        and loss.label_smoothing == 0
    )


def _criterion(agent: Any) -> Any:
    criterion = getattr(agent, "_criterion", None)
    if criterion is not None:
        return criterion
    loss = getattr(agent, "loss", None)  # the value of a step in an Avalanche strategy
    return loss if callable(loss) else None


def _parameters(function: Any) -> Mapping[str, Any]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}
