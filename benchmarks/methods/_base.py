"""The base class of every method that a suite can run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from benchmarks.suites import Suite
    from buffers import Buffer
    from clcore import Probe
    from strategies import FastStream, MemoryPlugin


@dataclass(frozen=True)
class Method(ABC):
    """How a learner is kept from forgetting.

    A subclass in a file of its own is a method; the file's name, with hyphens, is the method's.

    Attributes:
        name: Registered name.
        title: One line for people.
        helps: When it helps, for the table of all methods.
        checked: What its code was checked against, for the same table.
        has_memory: Whether exemplars are kept; methods without are run once, with memory size 0.
        joint: Whether all experiences are learned at once.
        streaming: Whether the memory takes part in the stream, mini-batch by mini-batch; one that
            is chosen again at the end of an experience does not, and can't run online.
        picks_of_batch: Whether it trains on the best part of each mini-batch only, so that it wants
            larger ones.
        retrieval: How the memory is read.
        nearest_mean: Whether test samples are classified by the nearest mean of the exemplars
            (iCaRL) instead of by the network's output layer.
    """

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""
    helps: ClassVar[str] = ""
    checked: ClassVar[str] = ""
    has_memory: ClassVar[bool] = True
    joint: ClassVar[bool] = False
    streaming: ClassVar[bool] = False
    picks_of_batch: ClassVar[bool] = False
    retrieval: ClassVar[str] = "uniform"

    nearest_mean: bool = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" not in cls.__dict__:
            cls.name = cls.__module__.rpartition(".")[2].replace("_", "-")

    @property
    def label(self) -> str:
        """The name with its options, as it stands in results: `"herding+nem"`."""
        return f"{self.name}+nem" if self.nearest_mean else self.name

    @abstractmethod
    def build_buffer(
        self, memory_size: int, *, seed: int, probe: Probe | None = None
    ) -> Buffer | None:
        """Make an empty memory.

        Args:
            memory_size: Exemplars allowed.
            seed: Seed of the memory's own random numbers.
            probe: Computes features of stored samples, for memories that need them and are filled
                without an Avalanche strategy.

        Returns:
            The memory; None for a method without one.
        """

    def build_plugin(self, buffer: Buffer, suite: Suite, fast: FastStream) -> MemoryPlugin:
        """Make the plugin that trains with the memory: the suite's own way.

        A method that changes the training step overrides this.

        Args:
            buffer: What `build_buffer` made.
            suite: Says how memories are trained with.
            fast: Iterates the stream.

        Returns:
            A plugin for an Avalanche strategy.
        """
        from benchmarks.running.training import plugin_of

        return plugin_of(self, buffer, suite, fast)
