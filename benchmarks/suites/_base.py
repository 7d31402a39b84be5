"""What a suite is: data, model, schedule, methods, and the published numbers to compare with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from benchmarks.models import ModelSettings
from clcore.errors import ArgumentError

Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0.0)]

FIXED = ("name", "version", "title", "kind", "published", "sources")
"""Fields that say what the suite is; `--set` can't change them."""

CHOICE = ("methods", "memory_sizes", "seeds")
"""Fields that say which cells are run; they don't change what a cell computes."""

_BATCH_ONLY = (
    "augmentation",
    "memory_epochs",
    "passes",
    "rate_decay",
    "replay",
    "replay_groups",
    "selection_batch_size",
    "selection_epochs",
)
"""Fields that an `OnlineLearner` has no use for."""


@dataclass(frozen=True)
class Published:
    """A number that somebody published for this suite's protocol.

    Attributes:
        method: Our name of the method that comes closest.
        memory_size: Exemplars; 0 without a memory.
        final_accuracy: Rate in [0, 1].
        source: Who published it.
        note: In what it differs from what the suite runs; empty where it does not.
    """

    method: str
    memory_size: int
    final_accuracy: float
    source: str
    note: str = ""


def check_choice(suite: AnySuite, names: Iterable[str]) -> None:
    """Refuse a suite without any cell, or with one that is there twice.

    Args:
        suite: The suite.
        names: Its fields that say which cells are run, `seeds` among them.

    Raises:
        ArgumentError: A field is empty, holds something twice, or a seed is no seed.
    """
    for name in names:
        values = getattr(suite, name)
        if not values:
            raise ArgumentError(f"{name}: at least one is needed, none was given")
        repeated = sorted({str(value) for value in values if values.count(value) > 1})
        if repeated:
            raise ArgumentError(f"{name}: {', '.join(repeated)} is given more than once")
    for seed in suite.seeds:
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise ArgumentError(f"seeds: got {seed!r}; whole numbers from 0 are allowed")


class AnySuite:
    """What all kinds of suites are: `Suite`, `OfflineSuite` and `GenerativeSuite`.

    Every one is a frozen dataclass with `name`, `version`, `title`, `dataset`, `methods`, `seeds`,
    `threads`, `kind`, `published` and `sources`; `benchmarks.running.kind` says what its kind does
    with it.
    """

    if TYPE_CHECKING:

        @property
        def name(self) -> str: ...
        @property
        def version(self) -> int: ...
        @property
        def title(self) -> str: ...
        @property
        def dataset(self) -> str: ...
        @property
        def methods(self) -> tuple[str, ...]: ...
        @property
        def seeds(self) -> tuple[int, ...]: ...
        @property
        def threads(self) -> int: ...
        @property
        def kind(self) -> str: ...


@dataclass(frozen=True)
class Suite(AnySuite):
    """A benchmark as data.

    Attributes:
        name: Registered name: the file's, with hyphens.
        version: Raised whenever a change of the suite changes its numbers.
        title: One line for people.
        dataset: A data set of `benchmarks.datasets`.
        scenario: How it is divided into experiences: functions of `benchmarks.scenarios` with
            their options, in order. The first takes the data, each further one the scenario so far.
        model: The network.
        training: `"batch"`: experiences are loaded as a whole, shuffled, and trained inside
            Avalanche; `"online"`: mini-batches come once, in order, to an `OnlineLearner`.
        normalise: `"none"`: pixels in [0, 1]; `"dataset"`: mean and deviation of the training
            images taken out, channel by channel.
        epochs: Passes over each experience.
        batch_size: Rows of the stream in a step.
        replay_batch_size: Rows of the memory in a step.
        learning_rate: One number, or one for each memory size (0: no memory).
        momentum: Of SGD.
        weight_decay: Of SGD.
        nesterov: Whether SGD's momentum is Nesterov's.
        optimizer: `"sgd"` or `"adam"` (with its usual betas).
        rate_decay: Factor on the learning rate from each experience to the next.
        passes: Steps on each mini-batch of the stream, one after the other.
        replay: How a memory is trained with: `"joint"`: one step on mini-batch and exemplars
            together; `"separate"`: a step on each in turn (GSS); `"whole-memory"`: the loss of the
            whole memory, a mean for each of `replay_groups`, is added `beta` times (Borsos et al.
            2020).
        replay_groups: `"task"`: each experience; `"memory"`: one mean; `"slot"`: each slot of a
            memory that has slots, times the chunks that it stands for, one mean for others (see
            `strategies.BilevelReplay`).
        beta: See `replay`.
        renew_optimizer: Whether the optimiser forgets what it knows of earlier steps (Adam's
            moments, momentum) before each experience or part of one.
        memory_epochs: Epochs on the memory alone after each experience, with rates, output layer
            and optimiser as in rainbow memory (`strategies.RainbowMemory`); 0 for none.
        selection_batch_size: Rows of the stream in a step of methods that train on the best part of
            each mini-batch only (OCS); they pick `batch_size` of them. None: the method's own.
        selection_epochs: Passes of those methods, so that they can make as many steps as the
            others; None: `epochs`.
        augmentation: What is done to training images: `"none"`; `"crop"`: padded by 4 pixels and
            cropped at random; `"crop-flip"`: and mirrored at random.
        update: When streaming memories take in what is learned: after each `"iteration"` or at
            the end of each `"experience"`. Others are chosen again at the end of an experience.
        methods: Names of methods; `+nem` after one for nearest-mean classification.
        memory_sizes: Exemplars allowed.
        seeds: One run each.
        evaluations_during: Evaluations in the course of an experience, before the one at its end.
        log_points: Training events an experience.
        threads: Threads that each process lets PyTorch use.
        kind: Family of the suite.
        published: Numbers to compare with.
        sources: Where each setting comes from.

    Raises:
        ArgumentError: No method, no seed, a size or a seed that is given twice or out of range, or
            settings that don't go together.
    """

    name: str
    version: int
    title: str
    dataset: str
    scenario: dict[str, dict[str, Any]]
    model: ModelSettings
    batch_size: Positive
    replay_batch_size: Positive
    learning_rate: Rate | dict[int, Rate]
    methods: tuple[str, ...]
    memory_sizes: tuple[Positive, ...]
    seeds: tuple[Annotated[int, Field(ge=0)], ...]
    training: Literal["batch", "online"] = "batch"
    normalise: Literal["none", "dataset"] = "none"
    epochs: Positive = 1
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    nesterov: bool = False
    optimizer: Literal["sgd", "adam"] = "sgd"
    rate_decay: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    passes: Positive = 1
    replay: Literal["joint", "separate", "whole-memory"] = "joint"
    replay_groups: Literal["task", "memory", "slot"] = "task"
    beta: Annotated[float, Field(ge=0.0)] = 1.0
    renew_optimizer: bool = False
    memory_epochs: Annotated[int, Field(ge=0)] = 0
    selection_batch_size: Positive | None = None
    selection_epochs: Positive | None = None
    augmentation: Literal["none", "crop", "crop-flip"] = "none"
    update: Literal["experience", "iteration"] = "iteration"
    evaluations_during: Annotated[int, Field(ge=0)] = 3
    log_points: Positive = 40
    threads: Positive = 1
    kind: Literal["continual"] = "continual"
    published: tuple[Published, ...] = ()
    sources: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice(self, CHOICE)
        for size in self.memory_sizes:
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise ArgumentError(
                    f"memory_sizes: got {size!r}; a positive number of exemplars is needed"
                )
        self._check_together()

    def _check_together(self) -> None:
        """Refuse settings that would be without effect beside others."""
        if self.nesterov and not (self.optimizer == "sgd" and self.momentum):
            raise ArgumentError("nesterov: SGD with a momentum above 0 is needed")
        if self.memory_epochs and self.replay != "joint":
            raise ArgumentError(
                f"memory_epochs: got {self.memory_epochs} beside replay={self.replay}; epochs on "
                "the memory alone come after joint replay only: set replay=joint, or "
                "memory_epochs=0"
            )
        if self.training != "online":
            return
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.name in _BATCH_ONLY and value != entry.default:
                raise ArgumentError(
                    f"{entry.name}: got {value!r}, which online training doesn't know; leave it "
                    f"at {entry.default!r} or set training=batch"
                )

    def rate(self, memory_size: int) -> float:
        """The learning rate for a memory size (0: without memory).

        Raises:
            ArgumentError: The suite tunes the rate by memory size and has none for this one.
        """
        if not isinstance(self.learning_rate, dict):
            return self.learning_rate
        if memory_size not in self.learning_rate:
            known = ", ".join(map(str, sorted(self.learning_rate)))
            raise ArgumentError(
                f"learning_rate: {self.name} has one for each memory size ({known}) and none for "
                f"{memory_size}; give it with --set learning_rate.{memory_size}=0.1, or one for "
                "all with --set learning_rate=0.1"
            )
        return self.learning_rate[memory_size]
