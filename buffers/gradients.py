"""Inner products of per-sample loss gradients, for the rules that choose by them.

In this order: a column `gradients` given to `add`; the probe that the buffer was made with; the
model of whoever is learning, with its own loss. If none of these is there, the error says what to
give. Gradients are those of the model in evaluation mode, and leave no trace in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor

from buffers.learner import LearnerProbe
from buffers.rows import count_passes, read_rows
from buffers.signals import SignalSource
from clcore import Probe
from clcore.errors import ArgumentError
from clcore.probe.closed_layers import linear_factors
from clcore.probe.factors import Explicit, Factor
from clcore.probe.grouped import GroupProducts, reciprocal_lengths, with_groups

if TYPE_CHECKING:
    from buffers.incoming import Incoming
    from buffers.memory import Memory

Signal = Literal["whole_network", "last_layer", "projection"]
_FACTORS = {
    "gradients": ["gradients"],
    "projection": ["projected_gradients"],
    "last_layer": ["logit_gradients", "features"],
}


# Rows whose signals are computed in one pass; more are read and transformed some at a time.
_TOGETHER = 1024


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
            rows = self._rows(probe, memory, incoming, stored, new)
            products = rows[0] @ rows[0].T
            if len(rows) > 1:
                products *= (rows[1] @ rows[1].T).add_(1)
            return products
        before = probe.cost
        x, y, task = read_rows(memory, incoming, stored, new, probe)
        with _closed_forms():
            products = probe.gradient_products(x, y, task=task).float().cpu()
        count_passes(memory, probe, before)
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
        stored, offered, order = _places(members, new, len(memory))
        probe = self._probe(memory, incoming)
        if probe is None or self.signal != "whole_network":
            rows = self._rows(probe, memory, incoming, stored, offered)
            factors = _factors([values.index_select(0, order) for values in rows])
            found = with_groups(factors, len(new), sizes)
        else:
            before = probe.cost
            direct = len(offered) == len(new)  # then all that is to do is to put those first
            x, y, task = read_rows(memory, incoming, stored, offered, probe, new_first=direct)
            if not direct:
                x, y, task = x.index_select(0, order.to(x.device)), y[order], task[order]
            with _closed_forms():
                found = probe.gradient_products_with_groups(x, y, sizes, task=task)
            count_passes(memory, probe, before)
            found = GroupProducts(*(part.float().cpu() for part in found))
        if not math.isfinite(float(found.squares.sum() + found.group_squares.sum())):
            SignalSource.check(torch.cat((found.squares, found.group_squares)), "gradients")
        return found.cosines()

    def with_mean(
        self, memory: Memory, incoming: Incoming, stored: Tensor, new: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute inner products among new rows, and with the mean of stored ones.

        The mean gradient is taken as one, so that the cost grows with the stored rows and not with
        their square; for few of them `products` is faster.

        Args:
            memory: The memory; what the passes cost is counted there.
            incoming: The rows offered to it.
            stored: Rows of the store, `[s]` int64, at least one.
            new: Rows of the batch, `[m]` int64.

        Returns:
            `[m, m]` of the new rows; `[m]` of them with the mean gradient of the stored rows;
            and `[]`, the squared length of that mean. On the CPU.

        Raises:
            ArgumentError: There is no way to the gradients.
            SignalError: A gradient holds NaN or infinity.
        """
        probe, none = self._probe(memory, incoming), stored[:0]
        if probe is None or self.signal != "whole_network":
            rows = self._rows(probe, memory, incoming, stored, new)
            held, mine = ([values[part] for values in rows] for part in _halves(len(stored)))
            return _with_mean(held, mine)
        before = probe.cost
        x, y, task = read_rows(memory, incoming, stored, none, probe)
        mean = probe.mean_gradient(x, y, task=task)
        x, y, task = read_rows(memory, incoming, none, new, probe)
        across = probe.gradient_products_with(x, y, mean, task=task).float().cpu()
        with _closed_forms():
            products = probe.gradient_products(x, y, task=task).float().cpu()
        count_passes(memory, probe, before)
        square = torch.stack([values.square().sum() for values in mean.values()]).sum().cpu()
        for values in (products, across, square.view(1)):
            SignalSource.check(values, "gradients")
        return products, across, square

    def _rows(
        self,
        probe: Probe | None,
        memory: Memory,
        incoming: Incoming,
        stored: Tensor,
        new: Tensor,
    ) -> list[Tensor]:
        """Read gradients as rows, or two factors of them, the stored ones first."""
        names = _FACTORS["gradients" if probe is None else self.signal]
        few = len(stored) + len(new) <= _TOGETHER
        if probe is None or not few or not incoming.columns.keys().isdisjoint(names):
            source = self.source if probe is None else SignalSource(probe)
            signals = source.read(names, memory, incoming, stored, new)
        else:
            before = probe.cost
            x, y, task = read_rows(memory, incoming, stored, new, probe)
            signals = probe.signals(names, x, labels=y, task=task)
            count_passes(memory, probe, before)
            for name in names:
                SignalSource.check(signals[name], name)
        return [signals[name].flatten(1).float().cpu() for name in names]

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


def _places(members: Tensor, new: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Split the groups' rows into stored and offered ones.

    Returns:
        The stored rows; the offered ones, with the new ones last; and where each row lies among
        these, the new ones first.
    """
    s, m = len(members), len(new)
    order = torch.arange(-m, s)
    order[:m] += s + m
    held = members < size
    if bool(held.all()):
        return members, new, order
    order[m:][held] = torch.arange(int(held.sum()))
    order[m:][~held] = torch.arange(int(held.sum()), s)
    return members[held], torch.cat((members[~held] - size, new)), order


def _factors(rows: list[Tensor]) -> list[Factor]:
    """Gradients, or those of a last layer: `[errors, features]`."""
    if len(rows) == 1:
        return [Explicit(rows[0])]
    return list(linear_factors(rows[1], rows[0]).values())


def _halves(size: int) -> tuple[slice, slice]:
    return slice(size), slice(size, None)


def _with_mean(held: list[Tensor], mine: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Multiply rows among each other and with the mean of others; see `_factors`."""
    if len(held) == 1:
        mean = held[0].mean(0)
        return mine[0] @ mine[0].T, mine[0] @ mean, mean @ mean
    (errors, features), (my_errors, my_features) = held, mine
    weight, bias = errors.T @ features / len(errors), errors.mean(0)
    products = (my_errors @ my_errors.T) * (my_features @ my_features.T).add_(1)
    across = ((my_errors @ weight) * my_features).sum(1) + my_errors @ bias
    return products, across, weight.square().sum() + bias.square().sum()
