"""Where rules get their features (and losses, …) from.

In this order: columns given to `add` under the signal's name; the samples themselves, where
`features="input"` was asked for; the probe that the buffer was made with; the model of the
Avalanche strategy that is learning. If none of these is there, the error says what to give.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from clcore import Cost, Probe
from clcore.checks import require_finite
from clcore.errors import ArgumentError
from clcore.guard import guard

if TYPE_CHECKING:
    from buffers.incoming import Incoming
    from buffers.memory import Memory

# Rows that are read and transformed at once on their way through the model.
_CHUNK = 1024


class SignalSource:
    """Reads signals of stored and of new rows.

    Args:
        probe: Computes signals from the samples; the strategy's model is used if None.
        features: `"input"` to take the samples themselves, flattened, for features.
        probe_options: Options of the probe that is made of the strategy's model.

    Raises:
        ArgumentError: `probe` is no probe, `features` anything else, or both are given.
    """

    def __init__(
        self,
        probe: Probe | None = None,
        features: str | None = None,
        probe_options: Mapping[str, Any] | None = None,
    ) -> None:
        if probe is not None and not isinstance(probe, Probe):
            raise ArgumentError(f"probe: got {type(probe).__name__}; a clcore.Probe is needed")
        if features not in (None, "input"):
            raise ArgumentError(f"features: got {features!r}; 'input' or None is allowed")
        if probe is not None and features is not None:
            raise ArgumentError("probe, features: give one of them, not both")
        self.probe, self.features = probe, features
        self.probe_options = dict(probe_options or {})

    def read(
        self,
        names: Iterable[str],
        memory: Memory,
        incoming: Incoming,
        stored: Tensor,
        new: Tensor,
    ) -> dict[str, Tensor]:
        """Read signals of some stored and some new rows.

        Args:
            names: The signals wanted.
            memory: The memory; what the passes cost is counted there.
            incoming: The rows offered to it.
            stored: Rows of the store, `[s]` int64.
            new: Rows of the batch, `[m]` int64.

        Returns:
            Each signal `[s + m, ...]`, the stored rows first.

        Raises:
            ArgumentError: A signal is neither given nor to be computed.
            SignalError: A signal holds NaN or infinity.
        """
        signals: dict[str, Tensor] = {}
        for name in names:
            if name in incoming.columns:
                column = incoming.columns[name]
                parts = [column[new.to(column.device)]]
                if len(stored):
                    held = memory.store.extra[name]
                    parts.insert(0, held[stored.to(held.device)].to(column.device))
                signals[name] = torch.cat(parts)
            elif name == "features" and self.features == "input":
                signals[name] = torch.cat(
                    [_flat(x) for x in _inputs(memory, incoming, stored, new)]
                )
        missing = [name for name in names if name not in signals]
        if missing:
            signals |= self._probed(missing, memory, incoming, stored, new)
        for name, values in signals.items():
            self.check(values, name)
        return signals

    @staticmethod
    def check(values: Tensor, name: str = "features") -> None:
        """Refuse NaN and infinity, naming the signal and the first bad row (`SignalError`)."""
        require_finite(name, values)

    def _probed(
        self, names: list[str], memory: Memory, incoming: Incoming, stored: Tensor, new: Tensor
    ) -> dict[str, Tensor]:
        probe = self.probe or _probe_of(incoming.agent, self.probe_options)
        if probe is None:
            raise ArgumentError(
                f"{names[0]}: {type(memory).__name__} chooses by this signal; give it with the "
                f"rows (`add(x, y, {names[0]}=...)`), make the buffer with `probe=Probe(model)`"
                + (" or `features='input'`" if names[0] == "features" else "")
                + ", or let Avalanche call `post_adapt` with its strategy"
            )
        y = torch.cat((memory.store.y[stored].cpu(), incoming.y[new]))
        task = torch.cat((memory.store.task[stored].cpu(), incoming.task[new]))
        before, done = probe.cost, 0
        parts: list[dict[str, Tensor]] = []
        for x in _inputs(memory, incoming, stored, new):
            if x.dtype == torch.uint8 and probe.transform is None:
                x = converted(memory, x)
            rows = slice(done, done + len(x))
            parts.append(probe.signals(names, x, labels=y[rows], task=task[rows]))
            done += len(x)
        spent = probe.cost - before
        # The seconds are counted by `add` already.
        memory.spend(Cost(0.0, spent.forward_passes, spent.backward_passes))
        return {name: torch.cat([part[name] for part in parts]) for name in names}


def _probe_of(agent: Any, options: Mapping[str, Any]) -> Probe | None:
    model = getattr(agent, "model", None)
    device = getattr(agent, "device", None)
    return None if model is None else Probe(model, device=device, **options)


def _inputs(memory: Memory, incoming: Incoming, stored: Tensor, new: Tensor) -> Iterable[Tensor]:
    """Samples as the model wants them in evaluation, in chunks, the stored rows first."""
    evaluate = memory.eval_transform
    for rows in torch.split(stored, _CHUNK) if len(stored) else ():
        with guard():
            x = memory.read(rows, transform=evaluate).x
        yield x
    for rows in torch.split(new, _CHUNK) if len(new) else ():
        with guard():
            x = incoming.inputs(rows)
            if incoming.evaluate is None and evaluate is not None:
                x = evaluate(x)
        yield x


def converted(memory: Memory, x: Tensor) -> Tensor:
    """Pixels as the memory hands them out, where neither stream nor probe says how."""
    if memory.transform is None:
        raise ArgumentError(
            "probe: the samples are uint8 and nothing says how the model wants them; make it with "
            "`Probe(model, transform=...)`, for instance `lambda x: x / 255`, or give the buffer a "
            "`transform`"
        )
    with guard():
        return memory.transform(x)


def _flat(x: Tensor) -> Tensor:
    """Samples as vectors: floats as they are, uint8 pixels scaled to [0, 1]."""
    if x.is_floating_point():
        return x.flatten(1) if x.ndim > 1 else x.view(-1, 1)
    if x.dtype == torch.uint8:
        return x.flatten(1).float() / 255
    raise ArgumentError(
        f"features='input': the samples are {x.dtype}; distances between token numbers mean "
        "nothing, so give `features=` with the rows or a `probe=`"
    )
