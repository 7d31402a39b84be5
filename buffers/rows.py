"""Stored and offered rows as one batch for a probe."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from buffers.signals import converted
from clcore import Cost, Probe
from clcore.guard import guard

if TYPE_CHECKING:
    from buffers.incoming import Incoming
    from buffers.memory import Memory


def read_rows(
    memory: Memory,
    incoming: Incoming,
    stored: Tensor,
    new: Tensor,
    probe: Probe,
    *,
    new_first: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Read samples as the model wants them in evaluation, their classes and tasks.

    Args:
        memory: The memory.
        incoming: The rows offered to it.
        stored: Rows of the store, `[s]` int64.
        new: Rows of the batch, `[m]` int64.
        probe: What will run them.
        new_first: Whether the batch comes before the stored rows.

    Returns:
        x `[s + m, ...]` on the probe's device; class and task, `[s + m]` int64, on the CPU.
    """
    parts = _samples(memory, incoming, stored, new)
    if probe.transform is None:
        parts = [converted(memory, x) if x.dtype == torch.uint8 else x for x in parts]
    device = probe.device
    parts = [x.to(device) for x in parts]
    labels: list[tuple[Tensor, Tensor]] = []
    if len(stored):
        meta = memory.store.meta.index_select(0, stored.to(memory.store.device)).cpu()
        labels.append((meta[:, 0], meta[:, 1]))
    if len(new):
        labels.append((incoming.y.index_select(0, new), incoming.task.index_select(0, new)))
    if len(parts) == 1:
        return parts[0], *labels[0]
    if new_first:
        parts.reverse()
        labels.reverse()
    (y, task), (more_y, more_task) = labels
    return torch.cat(parts), torch.cat((y, more_y)), torch.cat((task, more_task))


def _samples(memory: Memory, incoming: Incoming, stored: Tensor, new: Tensor) -> list[Tensor]:
    evaluate = memory.eval_transform
    # Only transforms, and data sets that are read, could touch the global random state.
    plain = evaluate is incoming.evaluate is None and isinstance(incoming._read, Tensor)
    parts = []
    with nullcontext() if plain else guard():
        if len(stored):
            assert memory.store.x is not None
            x = memory.store.x.index_select(0, stored.to(memory.store.device))
            parts.append(x if evaluate is None else evaluate(x))
        if len(new):
            x = incoming.inputs(new)
            given = incoming.evaluate is None and evaluate is not None
            parts.append(evaluate(x) if given and evaluate is not None else x)
    return parts


def count_passes(memory: Memory, probe: Probe, before: Cost) -> None:
    """Count the passes at the memory; the seconds are counted by `add` already.

    Args:
        memory: The memory.
        probe: What made them.
        before: What it had spent before.
    """
    spent = probe.cost - before
    memory.spend(Cost(0.0, spent.forward_passes, spent.backward_passes))
