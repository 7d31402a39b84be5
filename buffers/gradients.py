"""Inner products of per-sample loss gradients, for the rules that choose by them.

In this order: a column `gradients` given to `add`; the probe that the buffer was made with; the
model of whoever is learning, with its own loss. If none of these is there, the error says what to
give. Gradients are those of the model in evaluation mode, and leave no trace in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor

from buffers.learner import LearnerProbe
from buffers.signals import SignalSource, _converted
from clcore import Cost, Probe
from clcore.errors import ArgumentError
from clcore.guard import guard
from clcore.probe.grouped import GroupProducts, reciprocal_lengths, reduced

if TYPE_CHECKING:
    from buffers.incoming import Incoming
    from buffers.memory import Memory

Signal = Literal["whole_network", "last_layer", "projection"]
_FACTORS = {
    "gradients": ["gradients"],
    "projection": ["projected_gradients"],
    "last_layer": ["logit_gradients", "features"],
}


class GradientSource:
    """Gives the inner products of per-sample gradients of stored and of new rows.

    Rows are numbered as one list where both kinds are meant: below `len(memory)` a row of the
    store, `len(memory) + j` row j of the batch.

    Args:
        signal: Whose gradients: `"whole_network"`, exactly; `"last_layer"`, of the last Linear and
            its bias; `"projection"`, `projected_gradients` of the probe.
        source: Where signals come from; its probe is used if it has one.

    Raises:
        ArgumentError: `signal` is none of these, or the source takes samples for features.
    """

    def __init__(self, signal: Signal, source: SignalSource) -> None:
        if signal not in get_args(Signal):
            allowed = ", ".join(map(repr, get_args(Signal)))
            raise ArgumentError(f"signal: got {signal!r}; one of {allowed} is needed")
        if source.features is not None:
            raise ArgumentError("features: gradients are not computed from the samples themselves")
        self.signal, self.source = signal, source
        self._learner = LearnerProbe(source.probe_options)

    def products(self, memory: Memory, incoming: Incoming, stored: Tensor, new: Tensor) -> Tensor:
        """Compute the inner products of the gradients of some rows among each other.

        Args:
            memory: The memory; what the passes cost is counted there.
            incoming: The rows offered to it.
            stored: Rows of the store, `[s]` int64.
            new: Rows of the batch, `[m]` int64.

        Returns:
            `[s + m, s + m]`, the stored rows first; float32, on the CPU.

        Raises:
            ArgumentError: There is no way to the gradients.
            SignalError: A gradient holds NaN or infinity.
        """
        probe = self._probe(memory, incoming)
        if probe is None or self.signal != "whole_network":
            return self._of_signals(probe, memory, incoming, stored, new)
        y, task = _labels(memory, incoming, stored, new)
        before = probe.cost
        x = _samples(memory, incoming, stored, new, probe)
        with _closed_forms():
            products = probe.gradient_products(x, y, task=task).float().cpu()
        _count(memory, probe, before)
        SignalSource.check(products, "gradients")
        return products

    def against_groups(
        self, memory: Memory, incoming: Incoming, new: Tensor, members: Tensor, sizes: list[int]
    ) -> tuple[Tensor, Tensor]:
        """Compute the cosines of new rows' gradients with the mean gradients of groups.

        Args:
            memory: The memory; what the passes cost is counted there.
            incoming: The rows offered to it.
            new: Rows of the batch, `[m]` int64.
            members: The groups' rows, one group after the other, numbered as one list, `[s]`.
            sizes: Rows of each of the r groups.

        Returns:
            `[m, r]`, of each row; and `[r]`, of the mean gradient of the rows. float32, on the CPU.
            A cosine with an all-zero gradient is 0.

        Raises:
            ArgumentError: There is no way to the gradients.
            SignalError: A gradient holds NaN or infinity.
        """
        size = len(memory)
        held = members < size
        stored, pending = members[held], members[~held] - size
        probe = self._probe(memory, incoming)
        # As they are read: the stored rows first, then those of the batch, the single ones last.
        order = torch.empty(len(new) + len(members), dtype=torch.int64)
        order[: len(new)] = torch.arange(len(members), len(order))
        order[len(new) :][held] = torch.arange(len(stored))
        order[len(new) :][~held] = torch.arange(len(stored), len(members))
        offered = torch.cat((pending, new))
        if probe is None or self.signal != "whole_network":
            gram = self._of_signals(probe, memory, incoming, stored, offered)
            return reduced(gram[order][:, order], len(new), sizes).cosines()
        y, task = _labels(memory, incoming, stored, offered)
        before = probe.cost
        x = _samples(memory, incoming, stored, offered, probe)
        there = order.to(x.device)
        with _closed_forms():
            found = probe.gradient_products_with_groups(
                x.index_select(0, there), y[order], sizes, task=task[order]
            )
        _count(memory, probe, before)
        found = GroupProducts(*(part.float().cpu() for part in found))
        SignalSource.check(torch.cat((found.squares, found.group_squares)), "gradients")
        return found.cosines()

    def _of_signals(
        self,
        probe: Probe | None,
        memory: Memory,
        incoming: Incoming,
        stored: Tensor,
        new: Tensor,
    ) -> Tensor:
        source = self.source if probe is None else SignalSource(probe)
        names = _FACTORS["gradients" if probe is None else self.signal]
        signals = source.read(names, memory, incoming, stored, new)
        rows = [signals[name].flatten(1).float().cpu() for name in names]
        products = rows[0] @ rows[0].T
        if len(rows) > 1:
            products *= (rows[1] @ rows[1].T).add_(1)
        return products

    def _probe(self, memory: Memory, incoming: Incoming) -> Probe | None:
        """Find the probe; None where the gradients are a column."""
        if "gradients" in incoming.columns:
            return None
        if self.source.probe is not None:
            return self.source.probe
        if getattr(incoming.agent, "model", None) is None:
            raise ArgumentError(
                f"gradients: {type(memory).__name__} chooses by this signal; give it with the "
                "rows (`add(x, y, gradients=...)`), make the buffer with `probe=Probe(model)`, or "
                "let Avalanche call `post_adapt` with its strategy"
            )
        return self._learner.of(incoming.agent)


@contextmanager
def _closed_forms() -> Iterator[None]:
    """Where layers have no closed form, say what the user of a buffer can do."""
    try:
        yield
    except ArgumentError as error:
        reasons, found, _ = str(error).partition(". Leave them out")
        if not found:
            raise
        raise ArgumentError(
            f"{reasons}. Make the buffer with signal='last_layer', or with "
            "probe=Probe(model, uncovered='per-sample'), which takes a pass for each sample"
        ) from error


def cosines(products: Tensor) -> Tensor:
    """Turn inner products into cosines; that with an all-zero gradient is 0.

    Args:
        products: `[n, n]`.

    Returns:
        `[n, n]`, within [-1, 1].
    """
    scale = reciprocal_lengths(products.diagonal())
    return (products * scale[:, None] * scale[None, :]).clamp_(-1, 1)


def _labels(
    memory: Memory, incoming: Incoming, stored: Tensor, new: Tensor
) -> tuple[Tensor, Tensor]:
    if len(stored) == 0:
        return incoming.y[new], incoming.task[new]
    meta = memory.store.meta.index_select(0, stored.to(memory.store.device)).cpu()
    return torch.cat((meta[:, 0], incoming.y[new])), torch.cat((meta[:, 1], incoming.task[new]))


def _samples(
    memory: Memory, incoming: Incoming, stored: Tensor, new: Tensor, probe: Probe
) -> Tensor:
    """Samples as the model wants them in evaluation, the stored rows first."""
    evaluate = memory.eval_transform
    # Only transforms, and data sets that are read, could touch the global random state.
    plain = evaluate is incoming.evaluate is None and isinstance(incoming._read, Tensor)
    with nullcontext() if plain else guard():
        parts = []
        if len(stored):
            assert memory.store.x is not None
            x = memory.store.x.index_select(0, stored.to(memory.store.device))
            parts.append(x if evaluate is None else evaluate(x))
        if len(new):
            x = incoming.inputs(new)
            given = incoming.evaluate is None and evaluate is not None
            parts.append(evaluate(x) if given and evaluate is not None else x)
    if probe.transform is None:
        parts = [_converted(memory, x) if x.dtype == torch.uint8 else x for x in parts]
    device = probe.device
    return torch.cat([x.to(device) for x in parts])


def _count(memory: Memory, probe: Probe, before: Cost) -> None:
    """Count the passes; the seconds are counted by `add` already."""
    spent = probe.cost - before
    memory.spend(Cost(0.0, spent.forward_passes, spent.backward_passes))
