"""Which cells an offline suite consists of, and whether they can be run at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import datasets
from benchmarks.models import MODELS
from benchmarks.offline.convex_method import ConvexMethod, find_convex
from benchmarks.offline.method import OfflineMethod, find
from benchmarks.offline.suite import OfflineSuite
from benchmarks.running.plan import AnyCell
from clcore.errors import ArgumentError, UnknownNameError
from clcore.selectors import registry


@dataclass(frozen=True, order=True)
class OfflineCell(AnyCell):
    """One run: one method with one fraction, one optimiser and one seed.

    Attributes:
        method: Name with its options, for example `"craig+every5"`.
        fraction: Share of the training rows; 1 for `"full"`.
        optimizer: Name of the optimiser.
        seed: Seed of the run.
    """

    method: str
    fraction: float
    optimizer: str
    seed: int

    @property
    def name(self) -> str:
        """Name of the cell's folder, and of its wandb run."""
        return f"{self.method}-f{self.fraction:g}-{self.optimizer}-s{self.seed}"


def cells_of(suite: OfflineSuite) -> list[OfflineCell]:
    """List the cells of a suite: by seed, then optimiser, then fraction, then method.

    Full training comes first: the speed-up of the others is measured against it.

    Args:
        suite: The suite, with the methods, fractions, optimisers and seeds wanted.

    Raises:
        UnknownNameError: A method, or the model, does not exist; suggests the nearest.
        ArgumentError: A method is given twice.
    """
    if suite.learner == "network" and suite.model.name not in MODELS:
        raise UnknownNameError("model", suite.model.name, MODELS)
    read: Callable[[str, OfflineSuite], OfflineMethod | ConvexMethod] = find
    if suite.learner == "convex":
        read = find_convex
    found = [read(name, suite) for name in suite.methods]
    labels = [method.label for method in found]
    for label in labels:
        if labels.count(label) > 1:
            raise ArgumentError(f"methods: {label!r} is given more than once")
    cells = []
    for seed in suite.seeds:
        for optimizer in suite.optimizers:
            cells += [OfflineCell(m.label, 1.0, optimizer, seed) for m in found if m.full]
            for fraction in suite.fractions:
                cells += [
                    OfflineCell(m.label, float(fraction), optimizer, seed)
                    for m in found
                    if not m.full
                ]
    return cells


def check(suite: OfflineSuite) -> None:
    """Refuse settings that can't be run, before anything is loaded.

    Raises:
        UnknownNameError: There is no such data set, or no selector of a name in `options`.
        ArgumentError: A selector has no such option.
    """
    if suite.dataset not in datasets.REGISTRY:
        raise UnknownNameError("data set", suite.dataset, datasets.names())
    for name, options in suite.options.items():
        registry.create(name, **options)
