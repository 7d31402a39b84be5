"""What a probe says of whole-network per-sample gradients, without multiplying any out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from clcore.checks import integer_column, whole_number
from clcore.coreset import Cost
from clcore.errors import ArgumentError
from clcore.probe import gradients
from clcore.probe.differentiation import Layers
from clcore.probe.gradients import Data, Direction
from clcore.probe.grouped import GroupProducts
from clcore.probe.running import Runner
from clcore.probe.source import size_of, task_column


class NetworkGradients:
    """The part of a probe that works on gradients for all parameters.

    Args:
        runner: Model, loss and options.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def gradient_products(
        self,
        x: Any,
        y: Any = None,
        *,
        other: Any = None,
        task: Any = None,
        layers: Layers = None,
    ) -> Tensor:
        """Compute the inner products of whole-network per-sample gradients, exactly.

        Args:
            x: Tensor `[n, ...]` or a dataset.
            y: Labels `[n]`; by default the dataset's.
            other: Products with others: a dataset, or `(x, y)` or `(x, y, task)`; by default among
                the same samples.
            task: Task labels, see `signals`.
            layers: Layers by name or themselves whose parameters count; by default all that
                require a gradient.

        Returns:
            `[n, n]`, or `[n, m]` with m others.

        Raises:
            ArgumentError: If a parameter has no closed form (lists them), or labels are missing.
            NotEnoughMemoryError: If the layers' inputs and output gradients would not fit.
        """
        with self._timed():
            theirs = None if other is None else _others(other)
            return gradients.products(self._runner, checked_data(x, y, task), theirs, layers)

    def gradient_products_with_groups(
        self,
        x: Any,
        y: Any,
        sizes: Sequence[int],
        *,
        task: Any = None,
        layers: Layers = None,
    ) -> GroupProducts:
        """Compute inner products of per-sample gradients with the mean gradients of groups.

        Args:
            x: Tensor `[m + s, ...]` or a dataset: m single samples, then s that are in groups, one
                group after the other.
            y: Labels `[m + s]`; None for the dataset's.
            sizes: Samples of each group; they sum to s.
            task: Task labels, see `signals`.
            layers: See `gradient_products`.

        Returns:
            Products and squared lengths; `.cosines()` makes cosines of them.

        Raises:
            ArgumentError: If there is no single sample or no group, the sizes do not fit the data,
                a parameter has no closed form (lists them), or labels are missing.
        """
        with self._timed():
            data = checked_data(x, y, task)
            counts = [whole_number("sizes", size, least=1) for size in sizes]
            singles = len(data) - sum(counts)
            if not counts or singles < 1:
                raise ArgumentError(
                    f"sizes: {sum(counts)} of {len(data)} samples are in {len(counts)} groups; "
                    "at least one group and one single sample are needed"
                )
            return gradients.group_products(self._runner, data, singles, counts, layers)

    def gradient_products_with(
        self, x: Any, y: Any, direction: Direction, *, task: Any = None, layers: Layers = None
    ) -> Tensor:
        """Compute the inner product of each sample's gradient with one given gradient.

        Args:
            x: Tensor `[n, ...]` or a dataset.
            y: Labels `[n]`; None for the dataset's.
            direction: A gradient: one tensor a parameter, by name as `mean_gradient` gives it, or
                in the order of the parameters that count.
            task: Task labels, see `signals`.
            layers: See `gradient_products`.

        Returns:
            `[n]`: ⟨g_i, v⟩. Any model will do: where a layer has no closed form the answer is
            differentiated for.

        Raises:
            ArgumentError: If the direction does not fit the parameters, or labels are missing.
        """
        with self._timed():
            data = checked_data(x, y, task)
            return gradients.products_with(self._runner, data, direction, layers)

    def gradient_squares(
        self, x: Any, y: Any = None, *, task: Any = None, layers: Layers = None
    ) -> Tensor:
        """Compute the squared length `[n]` of each sample's whole-network gradient.

        Takes and raises what `gradient_products` does.
        """
        with self._timed():
            return gradients.squares(self._runner, checked_data(x, y, task), layers)

    def mean_gradient(
        self, x: Any, y: Any = None, *, task: Any = None, layers: Layers = None
    ) -> dict[str, Tensor]:
        """Compute the gradient of the mean loss, for any model.

        Takes what `gradient_products` does.

        Returns:
            A tensor for each parameter that counts, by its name.

        Raises:
            ArgumentError: If there are no samples or no labels.
        """
        with self._timed():
            return gradients.mean_gradient(self._runner, checked_data(x, y, task), layers)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self._runner.cost = self._runner.cost + Cost(time.perf_counter() - started)


def checked_data(x: Any, labels: Any, task: Any) -> Data:
    """Check data, labels and tasks as the methods of a probe take them."""
    size = size_of(x)
    targets = None if labels is None else integer_column("labels", labels, size)
    return Data(x, targets, task_column(task, size))


def _others(other: Any) -> Data:
    if isinstance(other, (tuple, list)) and other and isinstance(other[0], Tensor):
        if len(other) > 3:
            raise ArgumentError(f"other must be (x, y) or (x, y, task), not {len(other)} parts")
        x, y, task = (*other, None, None)[:3]
        return checked_data(x, y, task)
    return checked_data(other, None, None)
