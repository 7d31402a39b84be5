"""Which cells a suite consists of, and whether they can be run at all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from benchmarks import methods
from benchmarks.models import MODELS
from benchmarks.suites import Suite
from clcore.errors import ArgumentError, UnknownNameError


class AnyCell(ABC):
    """One run of a suite of any kind: a frozen dataclass of a method, a seed, and what else."""

    if TYPE_CHECKING:

        @property
        def method(self) -> str:
            """Name with its options."""

        @property
        def seed(self) -> int:
            """Seed of the run."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the cell's folder, and of its wandb run."""

    def record(self) -> list[Any]:
        """The cell as plain values, for `settings.json`; `Kind.cell` reads them."""
        return list(astuple(self))  # type: ignore[call-overload]


C = TypeVar("C", bound=AnyCell)


@dataclass(frozen=True, order=True)
class Cell(AnyCell):
    """One run: one method with one memory size and one seed.

    Attributes:
        method: Name with its options, for example `"herding+nem"`.
        memory_size: Exemplars; 0 for a method without memory.
        seed: Seed of the run.
    """

    method: str
    memory_size: int
    seed: int

    @property
    def name(self) -> str:
        """Name of the cell's folder, and of its wandb run."""
        return f"{self.method}-m{self.memory_size}-s{self.seed}"


def cells_of(suite: Suite) -> list[Cell]:
    """List the cells of a suite: by seed, then memory size, then method.

    All methods of one seed come first, so a suite that is stopped early can be compared as far as
    it got.

    Args:
        suite: The suite, with the methods, memory sizes and seeds wanted.

    Returns:
        The cells; a method without a memory has one a seed.

    Raises:
        UnknownNameError: A method, or the model, does not exist; suggests the nearest.
        ArgumentError: A method can't be run in this suite, or there is no learning rate for a
            memory size.
    """
    if suite.model.name not in MODELS:
        raise UnknownNameError("model", suite.model.name, MODELS)
    found = [methods.find(name) for name in suite.methods]
    labels = [method.label for method in found]
    for label in labels:
        if labels.count(label) > 1:
            raise ArgumentError(f"methods: {label!r} is given more than once")
    for method in found:
        _check_fits(method, suite)
    cells = []
    for seed in suite.seeds:
        cells += [Cell(m.label, 0, seed) for m in found if not m.has_memory]
        for size in suite.memory_sizes:
            cells += [Cell(m.label, size, seed) for m in found if m.has_memory]
    for size in dict.fromkeys(cell.memory_size for cell in cells):
        suite.rate(size)
    return cells


def _check_fits(method: methods.Method, suite: Suite) -> None:
    """Refuse a method of which a suite's training would leave nothing or only a part."""
    if suite.training == "online" and not method.streaming:
        raise ArgumentError(
            f"methods: {method.label!r} chooses its memory again at the end of each experience, "
            f"but {suite.name} is an online stream without such ends; use a streaming memory such "
            "as 'reservoir', or --set training=batch"
        )
    own_step = type(method).build_plugin is not methods.Method.build_plugin
    if suite.training == "online" and own_step:
        raise ArgumentError(
            f"methods: {method.label!r} has a training step of its own, which there is for batch "
            f"training only, but {suite.name} is an online stream; use a method that only keeps a "
            "memory, such as 'ocs-memory', or --set training=batch"
        )
    if suite.replay == "whole-memory" and method.has_memory and method.retrieval != "uniform":
        raise ArgumentError(
            f"methods: {method.label!r} picks the exemplars of each step, but {suite.name} takes "
            "the whole memory in each (replay=whole-memory), so there is nothing to pick; use a "
            "method that only keeps a memory, such as 'reservoir' or 'aser-update', or --set "
            "replay=joint"
        )


def united(first: Iterable[C], second: Iterable[C]) -> list[C]:
    """Cells of both lists, each once, in order."""
    return list(dict.fromkeys([*first, *second]))
