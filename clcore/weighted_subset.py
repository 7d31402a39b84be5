"""A coreset as a PyTorch data set: the picked samples, each with its weight.

Source: the weighted loss of Mirzasoleiman, Bilmes & Leskovec, "Coresets for data-efficient
training of machine learning models", ICML 2020 (CRAIG): a step on pick j counts γ_j times.

Formula: with weights of mean 1, the mean over one pass of `weighted_loss` is Σ_j γ_j f_j / Σ_j γ_j,
and the mean over a uniformly drawn batch estimates it without bias. So learning rate and weight
decay keep the meaning that they have for training on all data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from clcore.checks import weight_column, whole_number
from clcore.coreset import Coreset
from clcore.errors import ArgumentError
from clcore.pool import row_indices

Normalise = Literal["mean"]


class WeightedSubset(Dataset[Any]):
    """The picked samples of a data set in pick order, each with its weight at the end.

    Nothing is copied: a sample is read from the data set when it is asked for. A tuple `(x, y)`
    becomes `(x, y, weight)`, a mapping gets the key `"weight"`, and any other sample `x` becomes
    `(x, weight)`. Weights are float32 scalars, which the usual collation stacks to `[batch]`.

    Args:
        dataset: A map-style data set: the one that was selected from, in the same order.
        coreset: A coreset, or the rows as integers `[k]`.
        weights: Numbers `[k]`, none negative, one a pick; by default those of the coreset, or ones.
        normalise: `"mean"` scales the weights to mean 1, which keeps the learning rate's meaning;
            None leaves them as they are.

    Attributes:
        dataset: As given.
        indices: int64 `[k]` on the CPU, in pick order.
        weights: float32 `[k]` on the CPU, as handed out.

    Raises:
        ArgumentError: If there is nothing to index, a row is out of range, or the weights do not
            fit.
        SignalError: If a weight is NaN or infinite.

    Example:
        >>> data = torch.utils.data.TensorDataset(torch.arange(5.0), torch.arange(5))
        >>> subset = WeightedSubset(data, [3, 1], weights=[1.0, 3.0])
        >>> subset[1]
        (tensor(1.), tensor(1), tensor(1.5000))
    """

    def __init__(
        self,
        dataset: Any,
        coreset: Coreset | Tensor | Sequence[int],
        weights: Any = None,
        *,
        normalise: Normalise | None = "mean",
    ) -> None:
        if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
            raise ArgumentError(
                "dataset must have a length and be indexed by row, which "
                f"{type(dataset).__name__} is not"
            )
        if normalise not in ("mean", None):
            raise ArgumentError(f"normalise must be 'mean' or None, not {normalise!r}")
        rows: Any = coreset
        if isinstance(coreset, Coreset):
            rows = coreset.indices
            weights = coreset.weights if weights is None else weights
        self.dataset = dataset
        self.indices = row_indices("indices", rows, len(dataset), torch.device("cpu"))
        self.weights = _weights(weights, len(self.indices), normalise)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: int) -> Any:
        """Return pick number `place` with its weight."""
        return _with_weight(self.dataset[int(self.indices[place])], self.weights[place])

    def __getitems__(self, places: Sequence[int]) -> list[Any]:
        """Return several picks; data sets that read many at once are asked once."""
        rows = self.indices[list(places)].tolist()
        if callable(many := getattr(self.dataset, "__getitems__", None)):
            samples = many(rows)
        else:
            samples = [self.dataset[row] for row in rows]
        pairs = zip(samples, self.weights[list(places)], strict=True)
        return [_with_weight(sample, weight) for sample, weight in pairs]

    def loader(
        self,
        batch_size: int,
        *,
        shuffle: bool = True,
        seed: int = 0,
        generator: torch.Generator | None = None,
        **options: Any,
    ) -> DataLoader[Any]:
        """Make a loader whose batches end with the weights.

        Args:
            batch_size: Picks a batch.
            shuffle: Draw a new order each epoch; otherwise pick order.
            seed: Seed of the orders: the same seed gives the same orders, epoch by epoch.
            generator: Randomness to draw from instead of a fresh generator with `seed`. Its state
                between two epochs, saved and set again, continues with the same orders.
            **options: Further options of `torch.utils.data.DataLoader`.

        Returns:
            The loader; nothing but its generator is drawn from.

        Raises:
            ArgumentError: If the batch size or the seed is no such number.
        """
        size = whole_number("batch_size", batch_size, least=1)
        if generator is None:
            generator = torch.Generator().manual_seed(whole_number("seed", seed))
        return DataLoader(self, size, shuffle=shuffle, generator=generator, **options)


def weighted_loss(losses: Tensor, weights: Tensor) -> Tensor:
    """Average losses with weights: mean of `weights * losses`.

    Args:
        losses: `[b]`: one a sample (`reduction="none"`).
        weights: `[b]`: as a loader of `WeightedSubset` hands them out.

    Returns:
        A scalar to call `backward` on. With weights of mean 1 over an epoch it is
        Σ γ_j f_j / Σ γ_j for a batch of all picks, and an unbiased estimate of it for a part.

    Raises:
        ArgumentError: If the shapes differ: a `[b, 1]` beside a `[b]` would be multiplied out.

    Example:
        >>> weighted_loss(torch.tensor([1.0, 3.0]), torch.tensor([0.5, 1.5]))
        tensor(2.5000)
    """
    if losses.ndim != 1 or losses.shape != weights.shape:
        raise ArgumentError(
            f"losses and weights must be one number a sample, not of shapes {tuple(losses.shape)} "
            f"and {tuple(weights.shape)}"
        )
    return (losses * weights.to(losses)).mean()


def _weights(weights: Any, count: int, normalise: Normalise | None) -> Tensor:
    if weights is None:
        return torch.ones(count)
    if len(weights) == count == 0:
        return torch.ones(0)
    column = weight_column("weights", weights, None).detach().to("cpu", torch.float64)
    if len(column) != count:
        raise ArgumentError(f"weights has {len(column)} numbers for {count} indices")
    if normalise == "mean":
        column = column / column.mean()
    return column.to(torch.float32)


def _with_weight(sample: Any, weight: Tensor) -> Any:
    if isinstance(sample, Mapping):
        if "weight" in sample:
            raise ArgumentError("the samples have a key 'weight' already: rename it")
        return {**sample, "weight": weight}
    if isinstance(sample, tuple | list):
        return (*sample, weight)
    return sample, weight
