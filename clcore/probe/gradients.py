"""Whole-network per-sample gradients: their inner products, lengths and mean, without rounding off.

Formula: ⟨g_i, g_j⟩ = Σ over parameters; each summand by input × output-gradient products (see
    `factors`), from one forward and one backward pass of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from clcore.errors import ArgumentError
from clcore.guard import guard
from clcore.memory import require_bytes
from clcore.probe.closed_forms import real_type
from clcore.probe.differentiation import Factors, Layers, differentiation
from clcore.probe.grouped import GroupProducts, reduced, with_groups
from clcore.probe.recording import wanted_parameters
from clcore.probe.source import Batch, batches

if TYPE_CHECKING:
    from clcore.probe.running import Runner

Direction = Mapping[str, Tensor] | Sequence[Tensor]


class Data:
    """Samples to be differentiated.

    Args:
        data: Tensor or dataset.
        labels: int64 `[n]`, or None for the dataset's own.
        tasks: int64 `[n]`, or None.
    """

    def __init__(self, data: Any, labels: Tensor | None, tasks: Tensor | None) -> None:
        self.data, self.labels, self.tasks = data, labels, tasks

    def __len__(self) -> int:
        return len(self.data)

    def batches(self, runner: Runner) -> Iterator[Batch]:
        """Yield `(x, y, t)` on the probe's device."""
        for batch in batches(self.data, runner.batch_size, self.labels, self.tasks):
            yield runner.placed(batch)


def products(runner: Runner, mine: Data, other: Data | None, layers: Layers) -> Tensor:
    """Compute the inner products of per-sample gradients.

    Args:
        runner: Model and loss.
        mine: n samples.
        other: m samples; None: the n samples among themselves.
        layers: Whose parameters.

    Returns:
        `[n, m]`.

    Raises:
        NotEnoughMemoryError: If the layers' inputs and output gradients do not fit.
    """
    rows = _all_factors(runner, mine, layers)
    columns = rows if other is None else _all_factors(runner, other, layers)
    n, m = (sum(size for size, _ in parts) for parts in (rows, columns))
    result = _zeros(runner, n, m)
    top = 0
    for i, (height, mine_here) in enumerate(rows):
        left = 0
        for j, (width, factors) in enumerate(columns):
            block = result[top : top + height, left : left + width]
            if other is None and j < i:
                block.copy_(result[left : left + width, top : top + height].T)
            else:
                for name in [name for name in mine_here if name in factors]:
                    block += mine_here[name].products(factors[name])
            left += width
        top += height
    return result


def group_products(
    runner: Runner, data: Data, singles: int, sizes: list[int], layers: Layers
) -> GroupProducts:
    """Compute inner products of single gradients with the mean gradients of groups.

    What fits one batch takes no more than the products asked for; else all products are computed.

    Args:
        runner: Model and loss.
        data: The single samples, then the groups one after the other.
        singles: m.
        sizes: Samples of each group.
        layers: Whose parameters.

    Returns:
        Products and lengths.
    """
    if len(data) > runner.batch_size:
        return reduced(products(runner, data, None, layers), singles, sizes)
    ((_, factors),) = _all_factors(runner, data, layers)
    if not factors:
        return reduced(_zeros(runner, len(data), len(data)), singles, sizes)
    return with_groups(list(factors.values()), singles, sizes)


def squares(runner: Runner, data: Data, layers: Layers) -> Tensor:
    """Compute the squared length `[n]` of each sample's gradient."""
    with differentiation(runner, layers) as work:

        def batch_squares(x: Tensor, y: Tensor | None, t: Tensor | None) -> Tensor:
            total = _zeros(runner, len(x))
            for factor in work.factors(x, y, t, work.losses(x, y, t)).values():
                total += factor.squares()
            return total

        parts = _by_batch(runner, data, batch_squares)
    return torch.cat(parts) if parts else _zeros(runner, 0)


def products_with(runner: Runner, data: Data, direction: Direction, layers: Layers) -> Tensor:
    """Compute the inner product of each sample's gradient with one given gradient.

    Where every parameter has a closed form that is used; else the sum Σ u_i ⟨g_i, v⟩ is
    differentiated for u, which takes two passes backward and any model.

    Args:
        runner: Model and loss.
        data: n samples.
        direction: One tensor a parameter, by name or in order.
        layers: Whose parameters.

    Returns:
        `[n]`.

    Raises:
        ArgumentError: If the direction does not fit the parameters.
    """
    with differentiation(runner, layers) as work:
        wanted = work.parameters.named
        given = _direction(direction, wanted)

        def batch_products(x: Tensor, y: Tensor | None, t: Tensor | None) -> Tensor:
            with sdpa_kernel(SDPBackend.MATH):
                losses = work.losses(x, y, t)
                if work.uncovered(losses):
                    runner.spend(0, len(x))
                    return _differentiated_twice(losses, wanted, given)
            total = _zeros(runner, len(x))
            for name, factor in work.factors(x, y, t, losses).items():
                total += factor.along(given[name].to(total))
            return total

        parts = _by_batch(runner, data, batch_products)
    return torch.cat(parts) if parts else _zeros(runner, 0)


def mean_gradient(runner: Runner, data: Data, layers: Layers) -> dict[str, Tensor]:
    """Compute the gradient of the mean loss, by the parameter's name."""
    wanted = wanted_parameters(runner.model, layers).named
    total = {name: torch.zeros_like(p, requires_grad=False) for name, p in wanted.items()}
    if len(data) == 0:
        raise ArgumentError("the mean gradient of no samples is not defined")

    def batch_sum(x: Tensor, y: Tensor | None, t: Tensor | None) -> None:
        losses = runner.losses_of(runner.run(x, t), y)
        runner.spend(len(x), len(x))
        gradients = torch.autograd.grad(
            losses.sum(), list(wanted.values()), allow_unused=True, materialize_grads=True
        )
        for name, gradient in zip(wanted, gradients, strict=True):
            total[name] += gradient

    _by_batch(runner, data, batch_sum)
    return {name: gradient / len(data) for name, gradient in total.items()}


def _differentiated_twice(
    losses: Tensor, wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]
) -> Tensor:
    share = torch.ones_like(losses, requires_grad=True)
    gradients = torch.autograd.grad(
        (losses * share).sum(), list(wanted.values()), create_graph=True, allow_unused=True
    )
    pairs = zip(gradients, wanted, strict=True)
    parts = [(g * given[name].to(g)).sum() for g, name in pairs if g is not None]
    total = torch.stack([part.to(losses.dtype) for part in parts]).sum()
    (products,) = torch.autograd.grad(total, share)
    return products


def _direction(direction: Direction, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Check a direction and bring it into a tensor by name."""
    if isinstance(direction, Mapping):
        named = dict(direction)
    else:
        listed = list(direction)
        if len(listed) != len(wanted):
            raise ArgumentError(
                f"direction has {len(listed)} tensors where {len(wanted)} parameters count"
            )
        named = dict(zip(wanted, listed, strict=True))
    if set(named) != set(wanted):
        odd = sorted(set(named) ^ set(wanted))[0]
        raise ArgumentError(f"direction and parameters differ: {odd!r} is in one of them only")
    for name, parameter in wanted.items():
        if not isinstance(named[name], Tensor) or named[name].shape != parameter.shape:
            raise ArgumentError(
                f"direction for {name!r} must be a tensor of shape {tuple(parameter.shape)}"
            )
    return {name: values.detach() for name, values in named.items()}


def _by_batch(runner: Runner, data: Data, work: Callable[..., Any]) -> list[Any]:
    """Do the work on every batch with the model in evaluation mode, and leave no trace."""
    parts: list[Any] = []
    if len(data) == 0:
        return parts  # a tensor without rows still makes one batch, which no layer likes
    alone = runner.draws_from_torch_alone(data.data)
    with guard(runner.model, seed=0, torch_alone=alone), torch.enable_grad():
        runner.model.eval()
        for x, y, t in data.batches(runner):
            parts.append(work(x, y, t))
    return parts


def _all_factors(runner: Runner, data: Data, layers: Layers) -> list[tuple[int, Factors]]:
    held: list[int] = []
    with differentiation(runner, layers) as work:

        def batch_factors(x: Tensor, y: Tensor | None, t: Tensor | None) -> tuple[int, Factors]:
            factors = work.factors(x, y, t, work.losses(x, y, t))
            if not held:
                held.append(sum(factor.bytes for factor in factors.values()))
                left = held[0] * (len(data) - len(x)) // len(x)
                what = f"the layers' inputs and output gradients of {len(data):,} samples"
                instead = "take fewer samples, fewer layers=, or the signal projected_gradients"
                if left:
                    require_bytes(what, left, runner.device, instead)
            return len(x), factors

        return _by_batch(runner, data, batch_factors)


def _zeros(runner: Runner, *shape: int) -> Tensor:
    parameter = next(iter(runner.model.parameters()), torch.empty(0))
    return torch.zeros(shape, dtype=real_type(parameter), device=runner.device)
