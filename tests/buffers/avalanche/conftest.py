"""Small streams and models for training inside unmodified Avalanche."""

from types import SimpleNamespace

import pytest
import torch
from avalanche.benchmarks import (
    benchmark_from_datasets,
    class_incremental_benchmark,
    nc_benchmark,
)
from avalanche.benchmarks.utils import as_classification_dataset
from avalanche.benchmarks.utils.transform_groups import TransformGroups
from avalanche.logging import BaseLogger
from avalanche.training.plugins import EvaluationPlugin
from torch import nn
from torch.utils.data import TensorDataset
from torchvision import datasets as tv
from torchvision import transforms as v1

CLASSES = 6


class Mnist(tv.MNIST):
    """torchvision's MNIST with made-up data; pixel (0, 0) and (0, 1) say which row it is."""

    def __init__(self, n, classes=CLASSES):
        tv.VisionDataset.__init__(self, ".")
        generator = torch.Generator().manual_seed(n)
        self.data = torch.randint(0, 256, (n, 8, 8), dtype=torch.uint8, generator=generator)
        self.data[:, 0, 0] = torch.arange(n) % 256
        self.data[:, 0, 1] = torch.arange(n) // 256
        self.targets = torch.arange(n) % classes


class Vectors(TensorDataset):
    """Float vectors; entry 0 says which row it is."""

    def __init__(self, n, classes=CLASSES):
        x = torch.rand(n, 8, generator=torch.Generator().manual_seed(n))
        x[:, 0] = torch.arange(n)
        super().__init__(x, torch.arange(n) % classes)
        self.targets = (torch.arange(n) % classes).tolist()


TRAIN = v1.Compose([v1.RandomCrop(8, padding=1), v1.ToTensor()])
EVALUATE = v1.ToTensor()


def stream(api="classic", data=Mnist, n=120, experiences=3, classes=CLASSES):
    """A class-incremental benchmark, made by one of Avalanche's two families of functions."""
    images = data is Mnist
    train, test = data(n, classes), data(30, classes)
    groups = {"train": TRAIN, "eval": EVALUATE} if images else {}
    if api in ("classic", "tasks"):
        return nc_benchmark(
            train, test, experiences, task_labels=api == "tasks", seed=0,
            train_transform=groups.get("train"), eval_transform=groups.get("eval"),
        )  # fmt: skip
    made = [
        as_classification_dataset(part, TransformGroups(dict(groups))) for part in (train, test)
    ]
    if api == "datasets":
        return benchmark_from_datasets(train=[made[0]], test=[made[1]])
    return class_incremental_benchmark(
        {"train": made[0], "test": made[1]}, num_experiences=experiences, seed=0
    )


class Encoder(nn.Module):
    def __init__(self, inputs=64):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(inputs, 16), nn.ReLU())

    def forward(self, x):
        return self.layers(x)


class Classifier(nn.Module):
    """An encoder and a linear head, under the names that Avalanche's methods look for."""

    def __init__(self, inputs=64):
        super().__init__()
        self.features = Encoder(inputs)
        self.classifier = nn.Linear(16, CLASSES)

    def forward(self, x, task_labels=None):
        return self.classifier(self.features(x))


class WithPrototypes(nn.Module):
    """Trains a linear head and evaluates by prototypes."""

    def __init__(self, eval_classifier):
        super().__init__()
        self.feature_extractor = Encoder()
        self.train_classifier = nn.Linear(16, CLASSES)
        self.eval_classifier = eval_classifier

    def forward(self, x):
        features = self.feature_extractor(x)
        return (self.train_classifier if self.training else self.eval_classifier)(features)


def settings(model=None, batch=8):
    """What every strategy is made with."""
    model = Classifier() if model is None else model
    return {
        "model": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.01),
        "train_mb_size": batch,
        "eval_mb_size": 16,
        "evaluator": EvaluationPlugin(loggers=[BaseLogger()]),  # no logger at all is warned of
    }


def identities(x):
    """Which rows of `Mnist` these are, from stored bytes."""
    return (x[:, 0, 0, 0].long() + 256 * x[:, 0, 0, 1].long()).tolist()


@pytest.fixture
def kit():
    """What the tests of this folder share (they are no package)."""
    torch.manual_seed(0)
    return SimpleNamespace(
        Mnist=Mnist,
        Vectors=Vectors,
        stream=stream,
        settings=settings,
        Classifier=Classifier,
        Encoder=Encoder,
        WithPrototypes=WithPrototypes,
        identities=identities,
        classes=CLASSES,
    )
