"""The networks that the suites train, by name, seeded."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from clcore.errors import ArgumentError, UnknownNameError

Initialisation = Literal["torch", "xavier"]


@dataclass(frozen=True)
class ModelSettings:
    """Which network.

    Attributes:
        name: `"mlp"`: fully connected with ReLU. With one hidden layer of 512 and dropout 0.5 it
            is Avalanche's `SimpleMLP`.
        hidden: Units of each hidden layer.
        dropout: Dropout rate after each hidden layer.
        initialisation: `"torch"`: PyTorch's default; `"xavier"`: weights uniform in
            ±√(6 / (fan in + fan out)), biases zero, as Mammoth and its descendants do.
    """

    name: str = "mlp"
    hidden: tuple[Annotated[int, Field(ge=1)], ...] = (256, 256)
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    initialisation: Initialisation = "torch"


class MLP(nn.Module):
    """A fully connected network: flatten, then hidden layers with ReLU, then a linear classifier.

    Args:
        inputs: Numbers in one sample.
        hidden: Units of each hidden layer, at least one layer.
        classes: Outputs.
        dropout: Dropout rate after each hidden layer.
    """

    def __init__(
        self, inputs: int, hidden: tuple[int, ...], classes: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in zip((inputs, *hidden[:-1]), hidden, strict=True):
            layers += [nn.Linear(before, after), nn.ReLU()]
            if dropout:
                layers.append(nn.Dropout(dropout))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(hidden[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits `[n, classes]` of samples `[n, ...]`."""
        logits: Tensor = self.classifier(self.features(x))
        return logits


def _mlp(settings: ModelSettings, inputs: int, classes: int) -> nn.Module:
    return MLP(inputs, settings.hidden, classes, settings.dropout)


MODELS: dict[str, Callable[[ModelSettings, int, int], nn.Module]] = {"mlp": _mlp}
"""Builders by name: (settings, numbers in a sample, classes) to a network."""


def build_model(
    settings: ModelSettings, image_shape: tuple[int, ...], classes: int, seed: int
) -> nn.Module:
    """Make a freshly initialised network.

    Args:
        settings: Which network.
        image_shape: Shape of one sample.
        classes: Outputs.
        seed: Seed of the initial weights; the global random state is left as it was.

    Returns:
        The network, in training mode, on the CPU.

    Raises:
        UnknownNameError: There is no such network.
        ArgumentError: The network has no hidden layer, or doesn't take these settings.
    """
    if settings.name not in MODELS:
        raise UnknownNameError("model", settings.name, MODELS)
    if not settings.hidden:
        raise ArgumentError("model.hidden: at least one hidden layer is needed")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MODELS[settings.name](settings, math.prod(image_shape), classes)
        if settings.initialisation == "xavier":
            model.apply(_xavier)
    return model


def _xavier(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
