"""A scenario: a sequence of experiences, each a view of a data set that is built when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from clcore.errors import ArgumentError

RowTransform = Callable[[Tensor, Tensor], Tensor]
"""Images uint8 `[n, c, h, w]` and their rows in the source `[n]` to images of the same shape.

What it makes of a row may depend on that row only, so that any part of an experience can be built
by itself. The images are a copy that it may write to.
"""


@dataclass(frozen=True, eq=False)
class Rows:
    """Images and labels, kept as row numbers of a shared source until they are asked for.

    Ten permuted copies of MNIST take the memory of one.

    Attributes:
        source: Images uint8 `[N, c, h, w]`, shared with other `Rows`.
        indices: Which of them, int64 `[n]`.
        y: Labels as the learner gets them, int64 `[n]`.
        true_y: Labels before label noise, int64 `[n]`; `y` itself where there is none.
        transform: What is done to the images; None for nothing.
    """

    source: Tensor
    indices: Tensor
    y: Tensor
    true_y: Tensor
    transform: RowTransform | None = None

    def __len__(self) -> int:
        return self.indices.numel()

    @property
    def x(self) -> Tensor:
        """The images, uint8 `[n, c, h, w]`, built anew each time: bind them to a name."""
        return self._built(self.indices)

    @cached_property
    def kept_x(self) -> Tensor:
        """The images, uint8 `[n, c, h, w]`, built once and then kept."""
        return self.x

    def image(self, position: int) -> Tensor:
        """The image at one position, uint8 `[c, h, w]`."""
        return self._built(self.indices[position : position + 1])[0]

    def take(self, positions: Tensor) -> Rows:
        """A part of these rows.

        Args:
            positions: int64 `[m]`, positions among these rows.

        Returns:
            Those rows, in that order.
        """
        y = self.y[positions]
        true_y = y if self.true_y is self.y else self.true_y[positions]
        return Rows(self.source, self.indices[positions], y, true_y, self.transform)

    def _built(self, indices: Tensor) -> Tensor:
        images = self.source[indices]
        return images if self.transform is None else self.transform(images, indices)


@dataclass(frozen=True, eq=False)
class Experience:
    """One step of a scenario: what the learner gets at once, and what it is measured on.

    Attributes:
        index: Position in the scenario, from 0.
        task: Task label of every row.
        train: Training rows.
        test: Test rows.
        classes_here: The classes that this experience is about: those of its test rows.
        parent: Position of the experience that this is a part of, in a scenario cut into batches
            (`online`); else `index`.
        is_first_part: Whether this is the first part of its parent.
        is_last_part: Whether this is the last part of its parent.
    """

    index: int
    task: int
    train: Rows
    test: Rows
    classes_here: tuple[int, ...]
    parent: int
    is_first_part: bool = True
    is_last_part: bool = True

    @property
    def train_x(self) -> Tensor:
        """Training images, uint8 `[n, c, h, w]`, built anew each time: bind them to a name."""
        return self.train.x

    @property
    def train_y(self) -> Tensor:
        """Training labels, int64 `[n]`."""
        return self.train.y

    @property
    def train_task(self) -> Tensor:
        """Task label of each training row, int64 `[n]`."""
        return torch.full((len(self.train),), self.task, dtype=torch.int64)

    @property
    def test_x(self) -> Tensor:
        """Test images, uint8 `[m, c, h, w]`; built once and kept, as they are used often."""
        return self.test.kept_x

    @property
    def test_y(self) -> Tensor:
        """Test labels, int64 `[m]`."""
        return self.test.y

    @property
    def test_task(self) -> Tensor:
        """Task label of each test row, int64 `[m]`."""
        return torch.full((len(self.test),), self.task, dtype=torch.int64)

    @property
    def class_counts(self) -> dict[int, int]:
        """Number of training rows of each class that has any."""
        counts = torch.bincount(self.train.y)
        return {label: int(counts[label]) for label in counts.nonzero().flatten().tolist()}

    def __len__(self) -> int:
        return len(self.train)


@dataclass(frozen=True, eq=False)
class Normalise:
    """Images to floats: `(x / 255 - mean) / std`, channel by channel.

    Takes one image `[c, h, w]` or a batch `[n, c, h, w]`, on any device.

    Attributes:
        mean: Mean of each channel, on the scale 0 to 1.
        std: Deviation of each channel; a channel with 0 is only shifted.
    """

    # Read by the buffers' batch transforms: whole batches may be handed over.
    batched: ClassVar[bool] = True

    mean: tuple[float, ...]
    std: tuple[float, ...]
    _constants: dict[torch.device, tuple[Tensor, Tensor]] = field(
        default_factory=dict, init=False, repr=False
    )

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise uint8 images.

        Raises:
            ArgumentError: If the images are not uint8, or have another number of channels.
        """
        channels = len(self.mean)
        fits = images.ndim in (3, 4) and images.shape[-3] == channels
        if images.dtype != torch.uint8 or not fits:
            raise ArgumentError(
                f"images are {images.dtype} of shape {tuple(images.shape)}; wanted uint8 of shape "
                f"[{channels}, h, w] or [n, {channels}, h, w]"
            )
        if images.device not in self._constants:
            std = torch.tensor([value or 1.0 for value in self.std], dtype=torch.float64)
            mean = torch.tensor(self.mean, dtype=torch.float64)
            scale = (1 / (255 * std)).to(torch.float32).view(-1, 1, 1)
            shift = (mean / std).to(torch.float32).view(-1, 1, 1)
            self._constants[images.device] = scale.to(images.device), shift.to(images.device)
        scale, shift = self._constants[images.device]
        return images.to(torch.float32).mul_(scale).sub_(shift)


@dataclass(frozen=True, eq=False)
class Scenario:
    """A sequence of experiences over one data set.

    `dataclasses.replace(scenario, mean=(0.0,), std=(1.0,))` gives the same scenario with images
    scaled to 0 to 1 and no more.

    Attributes:
        name: What it is, for example `"split fashion-mnist"`.
        experiences: The experiences, in order.
        class_names: Names of all the classes; labels are positions in it.
        mean: Mean of each channel of the data set's training images, on the scale 0 to 1.
        std: Deviation of each channel.
    """

    name: str
    experiences: tuple[Experience, ...]
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.experiences:
            raise ArgumentError(f"{self.name} has no experience; at least one is needed")
        for experience in self.experiences:
            if not len(experience.train) or not len(experience.test):
                raise ArgumentError(
                    f"{self.name}: experience {experience.index} has {len(experience.train)} "
                    f"training and {len(experience.test)} test rows; each must have some"
                )

    def __len__(self) -> int:
        return len(self.experiences)

    def __iter__(self) -> Iterator[Experience]:
        return iter(self.experiences)

    @property
    def classes(self) -> int:
        """Number of classes over all experiences."""
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.experiences[0].train.source.shape[1:]
        return channels, height, width

    @cached_property
    def evaluation(self) -> tuple[Experience, ...]:
        """The experiences whose test rows are measured: all, or one a parent where cut (`online`).

        Entry `i` belongs to the experiences whose `parent` is `i`.
        """
        return tuple(experience for experience in self.experiences if experience.is_first_part)

    @cached_property
    def normalise(self) -> Normalise:
        """Function from uint8 images to normalised float32, for one image or a batch."""
        return Normalise(self.mean, self.std)

    def to_avalanche(
        self,
        task_labels: bool = False,
        *,
        normalise: bool = True,
        train_transform: Callable[[Tensor], Any] | None = None,
        eval_transform: Callable[[Tensor], Any] | None = None,
    ) -> Any:
        """Make an Avalanche benchmark of this scenario.

        Images are built and transformed one by one, as Avalanche asks for them; the memory stays
        that of the data set. The global random state is not touched.

        Args:
            task_labels: Rows are `(x, y, t)` and experiences know their task labels (the classic
                form, which multi-head models need); otherwise rows are `(x, y)`.
            normalise: Rows hold normalised float32 images; otherwise uint8, as transformed.
            train_transform: What is done to each uint8 image `[c, h, w]` in training, before it is
                normalised. It must give uint8 again if `normalise` is true.
            eval_transform: The same in evaluation.

        Returns:
            An `avalanche.benchmarks.CLScenario` with `train_stream` and `test_stream`. Where the
            scenario is cut into batches, the test stream has one experience a parent.
        """
        # Avalanche takes seconds to import.
        from benchmarks.scenarios._avalanche import build_benchmark

        last = self.normalise if normalise else None
        train = [step for step in (train_transform, last) if step is not None]
        evaluate = [step for step in (eval_transform, last) if step is not None]
        return build_benchmark(self, task_labels, train, evaluate)


def with_train(scenario: Scenario, name: str, train: Sequence[Rows]) -> Scenario:
    """The same scenario with other training rows.

    Args:
        scenario: The scenario, not cut into batches.
        name: Name of the new one.
        train: The rows of each experience.

    Returns:
        The new scenario.
    """
    experiences = tuple(
        Experience(
            index=old.index,
            task=old.task,
            train=rows,
            test=old.test,
            classes_here=old.classes_here,
            parent=old.parent,
        )
        for old, rows in zip(scenario.experiences, train, strict=True)
    )
    return Scenario(name, experiences, scenario.class_names, scenario.mean, scenario.std)
