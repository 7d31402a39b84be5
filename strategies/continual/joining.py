"""Putting exemplars behind the rows of a mini-batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from buffers.exemplars import Exemplars
from buffers.memory import Memory
from clcore.errors import ArgumentError
from strategies.continual.table import TASKS


def join(mbatch: Sequence[Tensor], drawn: Exemplars, attributes: Sequence[str]) -> list[Tensor]:
    """Append exemplars to a mini-batch.

    Args:
        mbatch: `[x, y]`, `[x, y, t]`, or with further fields between y and t.
        drawn: The exemplars.
        attributes: Names of the fields after y; where they don't fit, the last is the task label.

    Returns:
        The fields of the mini-batch, with the exemplars' rows appended; on its device.

    Raises:
        ArgumentError: Exemplars and mini-batch differ in shape or kind, or the exemplars lack a
            field of the mini-batch.
    """
    x, y, *rest = mbatch
    joined = [append_samples(x, drawn.x), torch.cat([y, drawn.y.to(y.device, y.dtype)])]
    names = attributes if len(attributes) == len(rest) else [""] * (len(rest) - 1) + [TASKS]
    for name, field in zip(names, rest, strict=True):
        held = drawn.task if name == TASKS else drawn.columns.get(name)
        if held is None:
            raise ArgumentError(
                f"mbatch: the stream's samples have {len(mbatch)} fields, but the exemplars have "
                f"no column {name!r} for one of them"
            )
        joined.append(torch.cat([field, held.to(field.device, field.dtype)]))
    return joined


def append_samples(x: Tensor, exemplars: Tensor) -> Tensor:
    """Append exemplars to samples.

    Args:
        x: Samples of the stream `[n, ...]`.
        exemplars: Those of the memory `[m, ...]`.

    Returns:
        `[n + m, ...]`, of the type and on the device of `x`.

    Raises:
        ArgumentError: They differ in shape, or one is floating-point and the other is not.
    """
    if x.shape[1:] != exemplars.shape[1:]:
        raise ArgumentError(
            f"x: exemplars come in shape {tuple(exemplars.shape[1:])}, the stream's samples in "
            f"{tuple(x.shape[1:])}; give the buffer a `transform` that ends in the stream's form"
        )
    if x.is_floating_point() != exemplars.is_floating_point():
        raise ArgumentError(
            f"x: exemplars come as {exemplars.dtype}, the stream's samples as {x.dtype}; give the "
            "buffer a `transform` that ends in the stream's form"
        )
    return torch.cat([x, exemplars.to(x.device, x.dtype)])


class ReplayMask:
    """Tells replayed rows from the stream's; the few masks that occur are made once."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, int, torch.device], Tensor] = {}

    def __call__(self, rows: int, replayed: int, device: torch.device) -> Tensor:
        """A bool tensor `[rows + replayed]`, True for the last `replayed`. Don't write to it."""
        key = (rows, replayed, device)
        mask = self._made.get(key)
        if mask is None:
            mask = self._made[key] = torch.arange(rows + replayed, device=device) >= rows
        return mask


class ReplayWeights:
    """Weights of a batch's rows, from those of the exemplars.

    Args:
        buffer: The memory.
    """

    def __init__(self, buffer: Memory) -> None:
        self.buffer = buffer
        self._version = -1
        self._mean: float | None = None

    def of(self, rows: int, drawn: Exemplars) -> Tensor | None:
        """Weights for a batch.

        Args:
            rows: Number of rows of the stream; each has weight 1.
            drawn: The exemplars; theirs are divided by the mean over the memory.

        Returns:
            `[rows + len(drawn)]`; None where all weights in the memory are equal.
        """
        store = self.buffer.store
        if not store.weighted:
            return None
        if store.version != self._version:
            held = store.weight[: store.size]
            equal = bool((held == held[0]).all())
            self._version, self._mean = store.version, None if equal else float(held.mean())
        if self._mean is None:
            return None
        return torch.cat([drawn.weight.new_ones(rows), drawn.weight / self._mean])
