"""A small problem and trainers for it; everything runs in milliseconds."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from clcore.coreset import Coreset
from clcore.selector import Selector
from strategies.offline import CoresetTrainer


def blobs(rows=120, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(rows) % classes
    centres = 3 * torch.randn(classes, 4, generator=generator)
    return centres[y] + torch.randn(rows, 4, generator=generator), y


def mlp(seed=0, dropout=0.0, norm=False, classes=3):
    torch.manual_seed(seed)
    layers = [nn.Linear(4, 8), *([nn.BatchNorm1d(8)] if norm else []), nn.ReLU()]
    return nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(8, classes))


def trainer(selector="craig", fraction=0.1, *, data=None, model=None, rate=0.1, **options):
    model = mlp() if model is None else model
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    options = {"batch_size": 16, "loss": nn.CrossEntropyLoss(), **options}
    data = blobs() if data is None else data
    return CoresetTrainer(
        model, optimizer, options.pop("loss"), data, selector, fraction, **options
    )


def flat(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


class Pairs(Dataset):
    """A map-style data set; counts its reads."""

    def __init__(self, x, y):
        self.x, self.y, self.reads = x, y, 0

    def __len__(self):
        return len(self.x)

    def __getitem__(self, row):
        self.reads += 1
        return self.x[row], int(self.y[row])


@dataclass(frozen=True)
class Heavy(Selector):
    """The first rows; the first of them weighs `heaviest` times the mean, the others alike."""

    heaviest: float = 200.0

    signals: ClassVar[tuple[str, ...]] = ("logits",)
    weighted: ClassVar[bool] = True

    def _select(self, pool, k, *, given, allowance, generator):
        weights = torch.full((k,), (k - self.heaviest) / (k - 1), dtype=torch.float64)
        weights[0] = self.heaviest
        return Coreset.of(torch.arange(k), weights=weights)


@pytest.fixture
def kit():
    return SimpleNamespace(
        blobs=blobs, mlp=mlp, trainer=trainer, flat=flat, Pairs=Pairs, Heavy=Heavy
    )
