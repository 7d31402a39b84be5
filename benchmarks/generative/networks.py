"""The networks that generative suites train, seeded.

The GAN on images follows Miyato et al., "Spectral normalization for generative adversarial
networks", ICLR 2018: with `hidden=(64, 128, 256)` and `blocks=1` it is the standard CNN of their
appendix for 32 x 32 pixels; with `blocks=0` it is nearer to DCGAN's, and much cheaper.
"""

from __future__ import annotations

import importlib
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from benchmarks.generative.suite import GenerativeSuite, NetworkSettings
from clcore.errors import ArgumentError

Shape = tuple[int, ...]
"""Of one sample."""


def build_gan(suite: GenerativeSuite, shape: Shape, seed: int) -> tuple[nn.Module, nn.Module]:
    """Make generator and discriminator, freshly initialised.

    Args:
        suite: Says which.
        shape: Of one sample.
        seed: Of the weights; the global random state is left as it was.

    Returns:
        The generator, from latents `[b, latent_size]` to samples `[b, *shape]` (images from −1 to
        1), and the discriminator, to scores `[b]`; in training mode, on the CPU.

    Raises:
        ArgumentError: The images have sides that the networks can't make.
    """
    settings = suite.network
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if settings.name == "mlp":
            (size,) = shape
            generator: nn.Module = mlp((suite.latent_size, *settings.hidden, size))
            return generator, Scores(mlp((size, *settings.hidden, 1)))
        return (
            ConvGenerator(suite.latent_size, shape, settings.hidden, settings.blocks),
            Scores(conv_discriminator(shape, settings.hidden, settings.blocks)),
        )


def build_vae(suite: GenerativeSuite, shape: Shape, seed: int) -> tuple[nn.Module, nn.Module]:
    """Make encoder and decoder, freshly initialised.

    Args:
        suite: Says which.
        shape: Of one image.
        seed: Of the weights.

    Returns:
        The encoder, to means and log-variances `[b, latent_size]` each, and the decoder, to logits
        (or means, of a Gaussian likelihood) `[b, *shape]`.
    """
    hidden = suite.network.hidden
    size = int(torch.Size(shape).numel())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = Encoder(mlp((size, *hidden, 2 * suite.latent_size)))
        decoder = nn.Sequential(
            mlp((suite.latent_size, *reversed(hidden), size)), nn.Unflatten(1, shape)
        )
    return encoder, decoder


def build_unet(suite: GenerativeSuite, shape: Shape, seed: int) -> nn.Module:
    """Make the network of a diffusion model, freshly initialised: diffusers' `UNet2DModel`.

    Args:
        suite: Says how wide.
        shape: Of one image.
        seed: Of the weights.

    Raises:
        ArgumentError: The sides can't be halved as often as there are levels.
    """
    settings: NetworkSettings = suite.network
    levels = len(settings.hidden)
    halved(shape, levels - 1)
    if settings.blocks < 1:
        raise ArgumentError("network.blocks: a unet has at least one a level")
    diffusers: Any = importlib.import_module("diffusers")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made: nn.Module = diffusers.UNet2DModel(
            sample_size=shape[1:],
            in_channels=shape[0],
            out_channels=shape[0],
            layers_per_block=settings.blocks,
            block_out_channels=settings.hidden,
            down_block_types=["DownBlock2D"] * levels,
            up_block_types=["UpBlock2D"] * levels,
            norm_num_groups=8,
            add_attention=False,
        )
    return made


def mlp(sizes: tuple[int, ...]) -> nn.Sequential:
    """Linear layers from size to size, with ReLU between them."""
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Scores(nn.Module):
    """A network with one output, as scores `[b]`.

    Args:
        network: From samples to `[b, 1]`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Scores `[b]`; higher is more real."""
        scores: Tensor = self.network(x).reshape(len(x))
        return scores


class Encoder(nn.Module):
    """A network whose outputs are means and log-variances.

    Args:
        network: From flat samples to `[b, 2 d]`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log-variances `[b, d]` of samples `[b, ...]`."""
        mean, log_variance = self.network(x.flatten(1)).chunk(2, dim=1)
        # Wide enough for any posterior; without it a bad start overflows.
        return mean, log_variance.clamp(-12.0, 8.0)


class ConvGenerator(nn.Module):
    """The generator on images: a linear layer, then doublings, with BatchNorm and ReLU.

    Args:
        latent_size: Numbers of a latent.
        shape: Of one image.
        hidden: Channels of the discriminator's levels, here from the last to the first.
        blocks: Where above 0, channels begin with twice those of the last level, and a 3 x 3
            convolution ends it; else the last doubling makes the image.
    """

    def __init__(
        self, latent_size: int, shape: Shape, hidden: tuple[int, ...], blocks: int
    ) -> None:
        super().__init__()
        side = halved(shape, len(hidden))
        channels = [2 * hidden[-1], *reversed(hidden)] if blocks else [*reversed(hidden), shape[0]]
        layers: list[nn.Module] = [
            nn.Linear(latent_size, channels[0] * side[0] * side[1]),
            nn.Unflatten(1, (channels[0], *side)),
        ]
        for before, after in pairwise(channels):
            layers += [nn.BatchNorm2d(before), nn.ReLU()]
            layers.append(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1))
        if blocks:
            layers += [nn.BatchNorm2d(channels[-1]), nn.ReLU()]
            layers.append(nn.Conv2d(channels[-1], shape[0], 3, padding=1))
        self.layers = nn.Sequential(*layers, nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        """Images `[b, c, h, w]` from −1 to 1, of latents `[b, latent_size]`."""
        images: Tensor = self.layers(z)
        return images


def conv_discriminator(shape: Shape, hidden: tuple[int, ...], blocks: int) -> nn.Sequential:
    """The discriminator on images: convolutions with spectral norm and leaky ReLU.

    Args:
        shape: Of one image.
        hidden: Channels of each level, at whose end the image is halved.
        blocks: 3 x 3 convolutions at the beginning of each level; where above 0, one more at the
            end doubles the channels.
    """
    side = halved(shape, len(hidden))
    channels, layers = shape[0], list[nn.Module]()

    def add(wide: int, kernel: int, stride: int) -> int:
        layers.append(spectral_norm(nn.Conv2d(channels, wide, kernel, stride, padding=1)))
        layers.append(nn.LeakyReLU(0.1))
        return wide

    for wide in hidden:
        for _ in range(blocks):
            channels = add(wide, 3, 1)
        channels = add(wide, 4, 2)
    if blocks:
        channels = add(2 * channels, 3, 1)
    linear = spectral_norm(nn.Linear(channels * side[0] * side[1], 1))
    return nn.Sequential(*layers, nn.Flatten(), linear)


def halved(shape: Shape, levels: int) -> tuple[int, int]:
    """An image's sides after so many halvings.

    Raises:
        ArgumentError: They can't be halved so often.
    """
    height, width = shape[1:]
    factor = 2**levels
    if height % factor or width % factor:
        raise ArgumentError(
            f"network.hidden: {levels} levels need sides that {factor} divides, not "
            f"{height} x {width}"
        )
    return height // factor, width // factor
