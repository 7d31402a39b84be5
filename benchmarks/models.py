"""The networks that the suites train, by name, seeded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from clcore.errors import ArgumentError, UnknownNameError

Initialisation = Literal["torch", "xavier"]
Activation = Literal["relu", "sigmoid"]


@dataclass(frozen=True)
class ModelSettings:
    """Which network.

    Attributes:
        name: `"mlp"`: fully connected with ReLU. With one hidden layer of 512 and dropout 0.5 it
            is Avalanche's `SimpleMLP`. `"conv"`: two convolutions of 5 x 5, each with ReLU and
            pooling, and a fully connected layer. `"resnet18"`: a ResNet-18 for small images, the
            "reduced" one of Lopez-Paz and Ranzato 2017 with 20 channels. `"resnet20"`: He et al.'s
            for CIFAR: three stages of three blocks, shortcuts without parameters.
        hidden: `"mlp"`: units of each hidden layer; `"conv"`: channels of the two convolutions,
            then units of the fully connected layer; `"resnet18"`, `"resnet20"`: channels of the
            first stage.
        dropout: Dropout rate after each hidden layer; `"conv"`: of whole channels after each
            convolution, of units after the fully connected layer; not of the ResNets.
        batch_norm: `"mlp"`: whether each hidden layer normalises over the batch, before its ReLU;
            a batch of one row by the running statistics.
        initialisation: `"torch"`: PyTorch's default; `"xavier"`: weights uniform in
            ±√(6 / (fan in + fan out)), biases zero, as Mammoth and its descendants do.
        activation: `"mlp"`: after each hidden layer, `"relu"` or `"sigmoid"`.
    """

    name: str = "mlp"
    hidden: tuple[Annotated[int, Field(ge=1)], ...] = (256, 256)
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    batch_norm: bool = False
    initialisation: Initialisation = "torch"
    activation: Activation = "relu"


class MLP(nn.Module):
    """A fully connected network: flatten, then hidden layers, then a linear classifier.

    Args:
        inputs: Numbers in one sample.
        hidden: Units of each hidden layer, at least one layer.
        classes: Outputs.
        dropout: Dropout rate after each hidden layer.
        batch_norm: Whether each hidden layer normalises over the batch. One row alone has no
            deviation, so in training, too, it is normalised by the running statistics.
        activation: After each hidden layer.
    """

    def __init__(
        self,
        inputs: int,
        hidden: tuple[int, ...],
        classes: int,
        dropout: float = 0.0,
        *,
        batch_norm: bool = False,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in zip((inputs, *hidden[:-1]), hidden, strict=True):
            layers.append(nn.Linear(before, after))
            if batch_norm:
                layers.append(nn.BatchNorm1d(after))
            layers.append(nn.ReLU() if activation == "relu" else nn.Sigmoid())
            if dropout:
                layers.append(nn.Dropout(dropout))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(hidden[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits `[n, classes]` of samples `[n, ...]`."""
        # The last mini-batch of an experience, or a memory, may be a single row.
        alone = self.training and len(x) == 1
        with _running_statistics(self.features) if alone else nullcontext():
            logits: Tensor = self.classifier(self.features(x))
        return logits


@contextmanager
def _running_statistics(layers: nn.Module) -> Iterator[None]:
    """Let layers that normalise over the batch use their running statistics meanwhile."""
    norms = [m for m in layers.modules() if isinstance(m, nn.BatchNorm1d) and m.training]
    for norm in norms:
        norm.eval()
    try:
        yield
    finally:
        for norm in norms:
            norm.train()


class Conv(nn.Module):
    """Two convolutions of 5 x 5, each with 2 x 2 pooling and ReLU, then two linear layers.

    Args:
        image_shape: Channels, height and width.
        hidden: Channels of the convolutions, then units of the fully connected layer.
        classes: Outputs.
        dropout: Dropout rate, of channels and of units.
    """

    def __init__(
        self, image_shape: tuple[int, ...], hidden: tuple[int, ...], classes: int, dropout: float
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        layers: list[nn.Module] = []
        for before, after in zip((channels, hidden[0]), hidden[:2], strict=True):
            # Pooling first gives the same numbers, and ReLU a quarter of the work.
            layers += [nn.Conv2d(before, after, 5), nn.MaxPool2d(2), nn.ReLU()]
            if dropout:
                layers.append(nn.Dropout2d(dropout))
            height, width = (height - 4) // 2, (width - 4) // 2
        layers += [nn.Flatten(), nn.Linear(hidden[1] * height * width, hidden[2]), nn.ReLU()]
        if dropout:
            layers.append(nn.Dropout(dropout))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(hidden[2], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits `[n, classes]` of images `[n, c, h, w]`."""
        logits: Tensor = self.classifier(self.features(x))
        return logits


def _mlp(settings: ModelSettings, image_shape: tuple[int, ...], classes: int) -> nn.Module:
    inputs, rate = math.prod(image_shape), settings.dropout
    return MLP(
        inputs,
        settings.hidden,
        classes,
        rate,
        batch_norm=settings.batch_norm,
        activation=settings.activation,
    )


def _without(settings: ModelSettings, *names: str) -> None:
    """Refuse settings that a network doesn't have."""
    for name in names:
        if getattr(settings, name):
            raise ArgumentError(
                f"model.{name}: got {getattr(settings, name)!r}; {settings.name} has no such option"
            )


def _conv(settings: ModelSettings, image_shape: tuple[int, ...], classes: int) -> nn.Module:
    _without(settings, "batch_norm")
    if len(settings.hidden) != 3:
        raise ArgumentError(
            f"model.hidden: got {settings.hidden}; conv needs the channels of two convolutions and "
            "the units of a fully connected layer"
        )
    if len(image_shape) != 3 or min(image_shape[1:]) < 16:
        raise ArgumentError(
            f"model: conv needs images of at least 16 x 16, not {image_shape}; use the model mlp"
        )
    return Conv(image_shape, settings.hidden, classes, settings.dropout)


def _resnet18(settings: ModelSettings, image_shape: tuple[int, ...], classes: int) -> nn.Module:
    from torchvision.models import ResNet
    from torchvision.models.resnet import BasicBlock

    _without(settings, "batch_norm", "dropout")
    if len(settings.hidden) != 1:
        raise ArgumentError(
            f"model.hidden: got {settings.hidden}; resnet18 needs one number, the channels of its "
            "first stage"
        )
    return _small_resnet(ResNet, BasicBlock, image_shape[0], settings.hidden[0], classes)


def _small_resnet(
    kind: type[nn.Module], block: type[nn.Module], channels: int, width: int, classes: int
) -> nn.Module:
    """Make torchvision's ResNet-18 with a 3 x 3 stem without pooling, and stages of other width."""
    network: Any = kind(block, [2, 2, 2, 2], num_classes=classes)
    network.inplanes = width
    network.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
    network.bn1 = nn.BatchNorm2d(width)
    network.maxpool = nn.Identity()
    for stage in range(4):
        layer = network._make_layer(block, width * 2**stage, 2, stride=1 if stage == 0 else 2)
        setattr(network, f"layer{stage + 1}", layer)
    network.fc = nn.Linear(width * 8, classes)
    made: nn.Module = network
    return made


class _Block(nn.Module):
    """Two 3 x 3 convolutions and a shortcut without parameters (He et al.'s option A)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride, self.extra = stride, outputs - inputs
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        short = x[:, :, :: self.stride, :: self.stride]
        if self.extra:
            short = nn.functional.pad(short, (0, 0, 0, 0, self.extra // 2, -(-self.extra // 2)))
        return torch.relu(self.body(x) + short)


class _SpatialMean(nn.Module):
    """Mean over height and width; unlike adaptive pooling deterministic on a GPU as well."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


def _resnet20(settings: ModelSettings, image_shape: tuple[int, ...], classes: int) -> nn.Module:
    _without(settings, "batch_norm", "dropout")
    if len(settings.hidden) != 1:
        raise ArgumentError(
            f"model.hidden: got {settings.hidden}; resnet20 needs one number, the channels of its "
            "first stage (16)"
        )
    width = settings.hidden[0]
    layers: list[nn.Module] = [
        nn.Conv2d(image_shape[0], width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    ]
    channels = width
    for stage in range(3):
        for block in range(3):
            outputs = width * 2**stage
            layers.append(_Block(channels, outputs, 2 if stage and not block else 1))
            channels = outputs
    layers += [_SpatialMean(), nn.Linear(channels, classes)]
    return nn.Sequential(*layers)


MODELS: dict[str, Callable[[ModelSettings, tuple[int, ...], int], nn.Module]] = {
    "conv": _conv,
    "mlp": _mlp,
    "resnet18": _resnet18,
    "resnet20": _resnet20,
}
"""Builders by name: (settings, shape of a sample, classes) to a network."""


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
    if settings.activation != "relu" and settings.name != "mlp":
        raise ArgumentError(
            f"model.activation: got {settings.activation!r}; {settings.name} has ReLU only"
        )
    if not settings.hidden:
        raise ArgumentError("model.hidden: at least one hidden layer is needed")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MODELS[settings.name](settings, image_shape, classes)
        if settings.initialisation == "xavier":
            model.apply(_xavier)
    if any(isinstance(module, nn.Conv2d) for module in model.modules()):
        # Convolutions, pooling and normalisation take less time so, on a CPU.
        model = model.to(memory_format=torch.channels_last)
    return model


def _xavier(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
