"""What turns images into vectors, for measuring them and for choosing among them.

`classifier` is a small network of two convolutions, trained on the labelled training rows of the
suite, always with the same seed: its last hidden layer is the vector, scaled to a mean square of 1
over training rows. It is trained once a run. A distance taken with it compares cells of one suite,
and is no FID. `efficientnet-lite0` is another
extractor, trained on ImageNet, from a package.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.generative.data import GenerativeData
from benchmarks.generative.shared import Made, once
from benchmarks.generative.suite import GenerativeSuite
from benchmarks.settings import derived_seed
from clcore.clock import working_time
from clcore.errors import FormatError
from strategies.generative import ImageFeatures, efficientnet_lite0

TITLES = {"classifier": "classifier features", "efficientnet-lite0": "EfficientNet-lite0"}
"""How the extractors are called in tables."""

FEATURES = 64
"""Numbers a vector of `classifier`."""

BATCH = 500
"""Images at once; the same always, since it can change the last bit."""


class Extractor:
    """A network that measures images, and what it cost to have it.

    Args:
        name: Of the extractor.
        network: From floats from 0 to 1 `[b, c, h, w]` to `[b, d]`.
        device: Where it runs.
        made: What it cost; nothing where it came from a package.
    """

    def __init__(self, name: str, network: nn.Module, device: str, made: Made) -> None:
        self.name, self.made = name, made
        self.network = network.to(device).eval().requires_grad_(False)
        self.device = device

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Compute vectors, float32 `[n, d]` on the CPU.

        Args:
            images: uint8, or floats from 0 to 1, `[n, c, h, w]`.
        """
        parts = []
        for part in torch.split(images, BATCH):
            here = part.to(self.device)
            pixels = here.float() / 255 if here.dtype == torch.uint8 else here
            found: Tensor = self.network(pixels)
            parts.append(found.float().cpu())
        return torch.cat(parts)


def make_extractor(
    name: str, suite: GenerativeSuite, data: GenerativeData, folder: Path
) -> Extractor:
    """Make an extractor, or read it where another cell has made it.

    Args:
        name: `"classifier"` or `"efficientnet-lite0"`.
        suite: The suite.
        data: Training rows with their classes.
        folder: Where it is kept, for all cells of a run.

    Raises:
        DataUnavailableError: A package is not installed; says which.
        FormatError: What is kept is damaged.
    """
    if name == "efficientnet-lite0":
        network: ImageFeatures = efficientnet_lite0()
        return Extractor(name, network, suite.device, Made())
    file = folder / "extractor.safetensors"
    made = once(file, lambda: _trained(suite, data))
    classifier = Classifier(data.shape, int(data.y.max()) + 1)
    try:
        classifier.load_state_dict(made.tensors)
    except RuntimeError as error:
        raise FormatError(f"{file} is damaged; delete it to make it again: {error}") from error
    return Extractor(name, Features(classifier), suite.device, made)


class Classifier(nn.Module):
    """Two convolutions with pooling, a hidden layer, and a linear classifier.

    Args:
        shape: Of one image.
        classes: Outputs.

    Attributes:
        scale: What the hidden layer is divided by to be a vector.
    """

    scale: Tensor

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        channels, height, width = shape
        self.body = nn.Sequential(
            nn.Conv2d(channels, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * (height // 4) * (width // 4), FEATURES),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(FEATURES, classes)
        self.register_buffer("scale", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """Logits `[b, classes]` of pixels from 0 to 1."""
        logits: Tensor = self.classifier(self.body(x))
        return logits


class Features(nn.Module):
    """The scaled hidden layer of a classifier.

    Args:
        classifier: The classifier.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.network = classifier

    def forward(self, x: Tensor) -> Tensor:
        """Vectors `[b, FEATURES]` of pixels from 0 to 1."""
        found: Tensor = self.network.body(x) / self.network.scale
        return found


def _trained(suite: GenerativeSuite, data: GenerativeData) -> Made:
    """Train a `Classifier` by Adam."""
    generator = torch.Generator().manual_seed(derived_seed(0, "extractor orders"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(0, "extractor"))
        model = Classifier(data.shape, int(data.y.max()) + 1).to(suite.device)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    started, before = working_time(), time.process_time()
    for _ in range(suite.extractor_epochs):
        order = torch.randperm(len(data.y), generator=generator)
        for rows in torch.split(order, 128):
            x = data.x[rows].to(suite.device).float() / 255
            loss = functional.cross_entropy(model(x), data.y[rows].to(suite.device))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    with torch.no_grad():
        pixels = data.x[: 2 * BATCH].to(suite.device).float() / 255
        model.scale.copy_(model.body(pixels).square().mean().sqrt().clamp_min(1e-12))
    passes = suite.extractor_epochs * len(data.y)
    return Made(
        {name: value.detach().cpu() for name, value in model.state_dict().items()},
        working_time() - started,
        time.process_time() - before,
        forward=passes,
        backward=passes,
    )
