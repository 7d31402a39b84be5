"""From a convex suite's settings to a matrix of training rows and one of test rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from benchmarks.datasets import REGISTRY, TableData, TableSet
from benchmarks.offline.data import build_data
from benchmarks.offline.suite import OfflineSuite
from benchmarks.running.data import load_table
from benchmarks.settings import derived_seed
from clcore.errors import ArgumentError

ONE_AGAINST_REST = {"covtype": 1}
"""Data sets whose convex experiments are published for one class, by its label, against the others.

Covertype: lodgepole pine, class 2 of the publisher's 1 to 7, as in LIBSVM's covtype.binary.
"""


@dataclass(frozen=True, eq=False)
class ConvexData:
    """What one seed trains and tests on.

    Attributes:
        x: Training rows, float32 `[n, d]`.
        y: Their labels, int64 `[n]`.
        test_x: Test rows, float32 `[m, d]`.
        test_y: Test labels, int64 `[m]`.
        classes: Class names, in the order of the labels.
    """

    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor
    classes: tuple[str, ...]


def build_convex_data(suite: OfflineSuite, seed: int) -> ConvexData:
    """Prepare a suite's data for one seed.

    All rows of a table are put in a random order of the seed, and as many as the data set has for
    training are trained on; measured columns are standardised by these. Images are flattened.

    Args:
        suite: The suite.
        seed: Seed of the run.

    Raises:
        ArgumentError: The suite has a setting that is for images alone, or wants more rows than
            there are.
        DataUnavailableError: The data set is not in the cache.
    """
    if not isinstance(REGISTRY.create(suite.dataset), TableSet):
        images = build_data(suite, seed)
        return ConvexData(
            images.x.flatten(1), images.y, images.test_x.flatten(1), images.test_y, images.classes
        )
    for name in ("imbalance", "label_noise", "validation_rows"):
        if getattr(suite, name) != {"imbalance": 1.0}.get(name, 0):
            raise ArgumentError(f"{name}: is for images, and {suite.dataset} is a table")
    return divided(load_table(suite.dataset), suite, seed)


def divided(table: TableData, suite: OfflineSuite, seed: int) -> ConvexData:
    """Divide a table by a seed, and standardise it.

    Args:
        table: The data set; its own division is set aside.
        suite: Says how many rows are trained on.
        seed: Seed of the run.

    Raises:
        ArgumentError: The suite wants more rows than there are.
    """
    x, y = torch.cat([table.train_x, table.test_x]), torch.cat([table.train_y, table.test_y])
    count = len(table.train_y)
    wanted = suite.train_rows or count
    if wanted > count:
        raise ArgumentError(
            f"train_rows: {wanted} rows are wanted, and {suite.dataset} has {count} to train on"
        )
    generator = torch.Generator().manual_seed(derived_seed(seed, "division"))
    order = torch.randperm(len(x), generator=generator)
    train, test = order[:wanted], order[count:]
    measured = x[train].double()
    numeric = table.std != 1
    mean = torch.where(numeric, measured.mean(0), 0.0)
    std = torch.where(numeric, measured.std(0, correction=0), 1.0)
    std = torch.where(std > 0, std, 1.0)
    scaled = replace(table, mean=mean, std=std)
    classes = table.classes
    positive = ONE_AGAINST_REST.get(suite.dataset)
    if positive is not None:
        classes = ("others", classes[positive])
        y = (y == positive).long()
    return ConvexData(
        scaled.standardise(x[train]), y[train], scaled.standardise(x[test]), y[test], classes
    )
