"""From a generative suite's settings to tensors: rows to train on and to compare samples with."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset, TensorDataset

from benchmarks.generative.suite import GenerativeSuite
from benchmarks.running.data import load_data
from benchmarks.settings import derived_seed, from_plain, to_plain
from clcore.errors import ArgumentError

Transform = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class GenerativeData:
    """What the cells of a suite train and are measured on.

    Images stay bytes; `transform` makes a batch of them what networks take.

    Attributes:
        x: Training rows: uint8 images `[n, c, h, w]`, or points, float32 `[n, 2]`.
        y: Their classes, int64 `[n]`; of points the modes that they were drawn from.
        test_x: Test rows, of the same kind.
        modes: Centres, float32 `[m, 2]`, in the coordinates of the points; None of images.
        sigma: Standard deviation around a mode, in those coordinates; 0 of images.
        low: Least value of a network's image: −1, of a VAE 0.
    """

    x: Tensor
    y: Tensor
    test_x: Tensor
    modes: Tensor | None
    sigma: float
    low: float

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return tuple(self.x.shape[1:])

    @property
    def transform(self) -> Transform | None:
        """What makes a batch of rows what networks take; None where they are it already."""
        return None if self.modes is not None else _Scaling(self.low)

    def subset(self, rows: Tensor | None = None) -> Dataset[tuple[Tensor, ...]]:
        """Training rows with their classes, as a data set.

        Args:
            rows: int64 `[k]`: which; None for all.
        """
        data = TensorDataset(self.x, self.y)
        return data if rows is None else Subset(data, rows.tolist())


@dataclass(frozen=True)
class _Scaling:
    """Bytes to floats from `low` to 1."""

    low: float

    def __call__(self, images: Tensor) -> Tensor:
        return images.float() * ((1.0 - self.low) / 255.0) + self.low


def build_data(suite: GenerativeSuite, seed: int) -> GenerativeData:
    """Prepare a suite's data.

    Args:
        suite: The suite.
        seed: Seed of the run: points are drawn from it, images are the same for all.

    Raises:
        ArgumentError: There are fewer rows than the suite wants.
        DataUnavailableError: The data set is not in the cache.
    """
    if suite.gaussian:
        return _gaussians(suite, seed)
    return _images(_told(suite))


def row_counts(suite: GenerativeSuite) -> tuple[int, int]:
    """How many rows a suite has, for training and for comparing with; the same for all seeds.

    Raises:
        ArgumentError: There are fewer rows than the suite wants.
        DataUnavailableError: The data set is not in the cache.
    """
    if suite.gaussian:
        return suite.points, 0
    data = load_data(suite.dataset)
    return (
        _count(suite.train_rows, len(data.train_x), "train_rows", suite.dataset),
        _count(suite.references, len(data.test_x), "references", suite.dataset),
    )


def _told(suite: GenerativeSuite) -> str:
    plain = to_plain(suite)
    return json.dumps({**plain, "methods": ["plain"], "batch_sizes": [2], "seeds": [0]})


@lru_cache(maxsize=1)
def _images(settings: str) -> GenerativeData:
    """Images are kept once in a process, whichever cells it runs."""
    suite = from_plain(GenerativeSuite, json.loads(settings))
    data = load_data(suite.dataset)
    x, y, test_x = data.train_x, data.train_y, data.test_x
    rows = _first(suite.train_rows, len(x), "train_rows", suite.dataset)
    if rows is not None:
        x, y = x[rows], y[rows]
    tests = _first(suite.references, len(test_x), "references", suite.dataset)
    # Some data sets are ordered by class: what is measured on a part needs an order without one.
    test_x = test_x[_order(len(test_x), "test order") if tests is None else tests]
    if suite.binarise:
        x, test_x = ((images > 127).to(torch.uint8) * 255 for images in (x, test_x))
    low = 0.0 if suite.learner == "vae" else -1.0
    return GenerativeData(x, y, test_x, None, 0.0, low)


def _order(count: int, purpose: str) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(derived_seed(0, purpose)))


def _first(wanted: int | None, count: int, name: str, dataset: str) -> Tensor | None:
    if wanted is None:
        return None
    purpose = "test order" if name == "references" else "training order"
    return _order(count, purpose)[: _count(wanted, count, name, dataset)]


def _count(wanted: int | None, count: int, name: str, dataset: str) -> int:
    if wanted is not None and wanted > count:
        raise ArgumentError(f"{name}: {wanted} rows are wanted, and {dataset} has {count}")
    return count if wanted is None else wanted


def _gaussians(suite: GenerativeSuite, seed: int) -> GenerativeData:
    """Draw points; the coordinates are divided by what makes the whole grid's deviation 1."""
    side = round(suite.modes**0.5)
    line = (torch.arange(side, dtype=torch.float64) - (side - 1) / 2) * suite.spacing
    grid = torch.cartesian_prod(line, line)
    scale = float((grid[:, 0].square().mean() + suite.sigma**2).sqrt())
    generator = torch.Generator().manual_seed(derived_seed(seed, "points"))
    y = torch.randint(len(grid), (suite.points,), generator=generator)
    noise = torch.randn(suite.points, 2, generator=generator, dtype=torch.float64)
    x = ((grid[y] + suite.sigma * noise) / scale).float()
    modes = (grid / scale).float()
    return GenerativeData(x, y, x[:0], modes, suite.sigma / scale, 0.0)
