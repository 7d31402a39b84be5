"""The work that the buffer group is timed on: synthetic images in Avalanche's own wrapping."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.benchmarks import benchmark_from_datasets
from avalanche.benchmarks.utils import AvalancheDataset, make_avalanche_dataset
from avalanche.benchmarks.utils.classification_dataset import (
    _make_taskaware_classification_dataset,
)
from avalanche.models import SimpleMLP
from torch.utils.data import Dataset
from torchvision import datasets, transforms


class Pictures(datasets.MNIST):
    """Random pictures as torchvision's own class gives them: PIL images, one at a time."""

    def __init__(self, n: int, classes: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.data = torch.randint(0, 256, (n, 28, 28), dtype=torch.uint8, generator=generator)
        self.targets = torch.randint(0, classes, (n,), generator=generator)
        self.transform = self.target_transform = self.transforms = None
        self.root = ""


def experience_data(n: int, classes: int = 2, seed: int = 0) -> AvalancheDataset[Any]:
    """An experience's data set as Avalanche's classic benchmarks build it, with task labels."""
    pictures: Dataset[Any] = Pictures(n, classes, seed)
    pipeline = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.2860,), (0.3530,))]
    )
    return _make_taskaware_classification_dataset(
        make_avalanche_dataset(pictures),
        targets=pictures.targets.tolist(),  # type: ignore[attr-defined]
        task_labels=0,
        transform_groups={"train": (pipeline, None), "eval": (pipeline, None)},
    )


def benchmark(experiences: int, n: int) -> Any:
    """A benchmark of several such experiences."""
    return benchmark_from_datasets(
        train=[experience_data(n, seed=index) for index in range(experiences)]
    )


def model() -> SimpleMLP:
    """The model of the training figures."""
    return SimpleMLP(num_classes=10, hidden_size=256)
