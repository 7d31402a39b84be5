"""From an offline suite's settings to tensors: training rows, validation rows, test rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.datasets import ImageData
from benchmarks.offline.suite import OfflineSuite
from benchmarks.running.data import load_data
from benchmarks.settings import derived_seed
from clcore.errors import ArgumentError


@dataclass(frozen=True, eq=False)
class OfflineData:
    """What one seed of a suite trains and tests on, ready for the network.

    Attributes:
        x: Training inputs, float `[n, c, h, w]`.
        y: Their labels as they are trained on, int64 `[n]`.
        images: The same rows as uint8 pictures.
        wrong: bool `[n]`: rows whose label was spoilt; None where none was.
        validation: Inputs and labels of the rows held back; None for none.
        test_x: Test inputs, float `[m, c, h, w]`.
        test_y: Test labels, int64 `[m]`.
        classes: Class names, in the order of the labels.
    """

    x: Tensor
    y: Tensor
    images: Tensor
    wrong: Tensor | None
    validation: tuple[Tensor, Tensor] | None
    test_x: Tensor
    test_y: Tensor
    classes: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.x.shape[1:])


def build_data(suite: OfflineSuite, seed: int) -> OfflineData:
    """Prepare a suite's data for one seed.

    Args:
        suite: The suite.
        seed: Seed of the run; rows held back, thinned and spoilt are drawn from it.

    Raises:
        ArgumentError: There are fewer rows than the suite wants.
        DataUnavailableError: The data set is not in the cache.
    """
    data = load_data(suite.dataset)
    rows, held = _divided(suite, len(data.train_y), seed)
    rows = _thinned(rows, data.train_y, len(data.classes), suite.imbalance, seed)
    y = data.train_y[rows]
    spoilt, wrong = _spoilt(y, len(data.classes), suite.label_noise, seed)
    scaled = _scaling(suite, data)
    validation = None
    if len(held):
        validation = (scaled(data.train_x[held]), data.train_y[held])
    return OfflineData(
        scaled(data.train_x[rows]),
        spoilt,
        data.train_x[rows],
        wrong,
        validation,
        scaled(data.test_x),
        data.test_y,
        data.classes,
    )


def _divided(suite: OfflineSuite, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Rows to train on, ascending, and rows held back."""
    wanted = suite.train_rows or count - suite.validation_rows
    if wanted < 1 or wanted + suite.validation_rows > count:
        raise ArgumentError(
            f"train_rows and validation_rows: {wanted} and {suite.validation_rows} rows are "
            f"wanted, and {suite.dataset} has {count}"
        )
    generator = torch.Generator().manual_seed(derived_seed(seed, "division"))
    order = torch.randperm(count, generator=generator)
    held = order[wanted : wanted + suite.validation_rows]
    return order[:wanted].sort().values, held.sort().values


def _thinned(rows: Tensor, labels: Tensor, classes: int, ratio: float, seed: int) -> Tensor:
    """Keep ever fewer rows of each class: class c of C keeps ratio^(c / (C − 1)) of the largest."""
    if ratio == 1.0:
        return rows
    y = labels[rows]
    largest = int(torch.bincount(y, minlength=classes).min())
    generator = torch.Generator().manual_seed(derived_seed(seed, "imbalance"))
    kept = []
    for label in range(classes):
        own = rows[y == label]
        size = max(1, round(largest * ratio ** (label / max(1, classes - 1))))
        kept.append(own[torch.randperm(len(own), generator=generator)[:size]])
    return torch.cat(kept).sort().values


def _spoilt(y: Tensor, classes: int, share: float, seed: int) -> tuple[Tensor, Tensor | None]:
    """Give an exact share of the rows another label, drawn evenly from the other classes."""
    if share == 0.0:
        return y, None
    generator = torch.Generator().manual_seed(derived_seed(seed, "label noise"))
    chosen = torch.randperm(len(y), generator=generator)[: round(share * len(y))]
    steps = torch.randint(1, classes, chosen.shape, generator=generator)
    spoilt = y.clone()
    spoilt[chosen] = (y[chosen] + steps) % classes
    return spoilt, spoilt != y


def _scaling(suite: OfflineSuite, data: ImageData) -> Callable[[Tensor], Tensor]:
    """What turns uint8 images into inputs."""

    def scaled(images: Tensor) -> Tensor:
        x = images.float() / 255
        if suite.normalise == "dataset":
            mean = torch.tensor(data.mean).view(-1, 1, 1)
            # A channel without any deviation is only shifted.
            std = torch.tensor([value or 1.0 for value in data.std]).view(-1, 1, 1)
            x = (x - mean) / std
        return x

    return scaled


def augmentation(suite: OfflineSuite, data: OfflineData) -> Callable[[Tensor], Tensor] | None:
    """What is done to a batch of training inputs, each image by itself; None for nothing.

    Args:
        suite: Says what.
        data: Knows what black is.
    """
    if suite.augmentation == "none":
        return None
    flip = suite.augmentation == "crop-flip"
    black = data.x.amin(dim=(0, 2, 3)).view(1, -1, 1, 1)

    def augment(x: Tensor) -> Tensor:
        count, _, height, width = x.shape
        floor = black.to(x.device)
        padded = functional.pad(x - floor, (4, 4, 4, 4))
        top = torch.randint(0, 9, (count, 1), device=x.device)
        left = torch.randint(0, 9, (count, 1), device=x.device)
        rows = top + torch.arange(height, device=x.device)
        columns = left + torch.arange(width, device=x.device)
        if flip:
            mirrored = torch.rand(count, 1, device=x.device) < 0.5
            columns = torch.where(mirrored, columns.flip(1), columns)
        place = torch.arange(count, device=x.device).view(-1, 1, 1)
        cut = padded.permute(0, 2, 3, 1)[place, rows.unsqueeze(2), columns.unsqueeze(1)]
        return cut.permute(0, 3, 1, 2).contiguous() + floor

    return augment
