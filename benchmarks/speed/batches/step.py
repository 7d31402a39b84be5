"""A step of an SN-GAN with and without selection, side by side.

The networks are those of Miyato et al. 2018 ("Spectral normalization for generative adversarial
networks", ICLR, the standard CNN of their appendix) made for 28 × 28 grey images: two doublings
from 7 × 7 instead of three. A step is one of the discriminator and one of the generator, with the
hinge loss. With selection, as in Small-GAN, both steps' latents are chosen of four times as many,
and the real images of eight times as many by embeddings of 32 numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from benchmarks.settings import derived_seed
from benchmarks.speed.batches.settings import GenerativeSettings
from benchmarks.speed.figures import Column, Table, percent_more, seconds
from benchmarks.speed.repeats import Timings, paired
from strategies.generative import CoresetBatchSampler, select_latents

IMAGES, BATCH, LATENT, EMBEDDING = 4096, 64, 128, 32
LATENT_FACTOR, IMAGE_FACTOR = 4, 8
PLAIN = "plain"
SELECTORS = ("k-center", "kernel-herding")


def step(settings: GenerativeSettings) -> Iterator[Table]:
    """Time steps of three equal GANs in turn: plain, and with each of two selectors.

    Yields:
        One table, with a row for each width.
    """
    rows = []
    for channels in settings.channels:
        timings = time_steps(channels, settings)
        row = {"channels": channels, PLAIN: timings.spread(PLAIN)}
        for name in SELECTORS:
            row[name] = timings.spread(name)
            row[f"{name} ratio"] = timings.ratio(name, PLAIN)
        rows.append(row)
    yield Table(
        "step",
        f"A step of an SN-GAN on 28 × 28 images, batch {BATCH}, one core, with two selections of "
        f"latents and one of images: median (quartiles) of {settings.step_rounds}, in processor "
        "time",
        (
            Column("channels", "channels"),
            Column(PLAIN, "plain", seconds),
            *(
                column
                for name in SELECTORS
                for column in (
                    Column(name, f"`{name}`", seconds),
                    Column(f"{name} ratio", "more", percent_more),
                )
            ),
        ),
        rows,
    )


def time_steps(channels: int, settings: GenerativeSettings) -> Timings:
    """Time the steps of networks of one width."""
    seed = derived_seed(settings.seed, f"step {channels}")
    names = (PLAIN, *SELECTORS)
    gans = {name: GAN(channels, seed, None if name == PLAIN else name) for name in names}
    return paired({name: gan.step for name, gan in gans.items()}, rounds=settings.step_rounds)


class GAN:
    """A GAN that trains on random images.

    Args:
        channels: Width of the networks.
        seed: Of networks, data, latents and batches.
        selector: What chooses latents and images; None: nothing does.
    """

    def __init__(self, channels: int, seed: int, selector: str | None) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.images = torch.rand(IMAGES, 1, 28, 28, generator=generator).mul_(2).sub_(1)
        embeddings = torch.randn(IMAGES, EMBEDDING, generator=generator)
        self.draws = torch.Generator().manual_seed(seed)
        self.steps = 0
        self.selector = selector
        self.read: Callable[[], Tensor] = self._random_images
        if selector is not None:
            self.batches = CoresetBatchSampler(embeddings, BATCH, IMAGE_FACTOR, selector, seed=seed)
            self.read = self._chosen_images
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.generator, self.discriminator = image_networks(channels)
        self.generator_optimizer = adam(self.generator)
        self.discriminator_optimizer = adam(self.discriminator)

    def step(self) -> None:
        """One step of the discriminator and one of the generator."""
        real = self.read()
        with torch.no_grad():
            fake = self.generator(self._latents())
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        loss = (1 - self.discriminator(real)).relu().mean()
        loss = loss + (1 + self.discriminator(fake)).relu().mean()
        torch.autograd.backward(loss)
        self.discriminator_optimizer.step()
        self.generator_optimizer.zero_grad(set_to_none=True)
        loss = -self.discriminator(self.generator(self._latents())).mean()
        torch.autograd.backward(loss)
        self.generator_optimizer.step()
        self.steps += 1

    def _latents(self) -> Tensor:
        if self.selector is None:
            return torch.rand(BATCH, LATENT, generator=self.draws).mul_(2).sub_(1)
        return select_latents(
            BATCH, LATENT_FACTOR, size=LATENT, selector=self.selector, generator=self.draws
        )

    def _random_images(self) -> Tensor:
        return self.images[torch.randint(IMAGES, (BATCH,), generator=self.draws)]

    def _chosen_images(self) -> Tensor:
        return self.images[torch.tensor(self.batches.batch(self.steps))]


def adam(network: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of a network."""
    return torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))


def image_networks(channels: int) -> tuple[nn.Module, nn.Module]:
    """A generator and a discriminator of 28 × 28 images; its width is `channels`."""
    return _generator(channels), _discriminator(channels)


def _generator(channels: int) -> nn.Module:
    c = channels
    return nn.Sequential(
        nn.Linear(LATENT, 4 * c * 7 * 7),
        nn.Unflatten(1, (4 * c, 7, 7)),
        nn.BatchNorm2d(4 * c),
        nn.ReLU(),
        nn.ConvTranspose2d(4 * c, 2 * c, 4, 2, 1),
        nn.BatchNorm2d(2 * c),
        nn.ReLU(),
        nn.ConvTranspose2d(2 * c, c, 4, 2, 1),
        nn.BatchNorm2d(c),
        nn.ReLU(),
        nn.Conv2d(c, 1, 3, 1, 1),
        nn.Tanh(),
    )


def _discriminator(channels: int) -> nn.Module:
    c = channels
    return nn.Sequential(
        spectral_norm(nn.Conv2d(1, c, 3, 1, 1)),
        nn.LeakyReLU(0.1),
        spectral_norm(nn.Conv2d(c, c, 4, 2, 1)),
        nn.LeakyReLU(0.1),
        spectral_norm(nn.Conv2d(c, 2 * c, 3, 1, 1)),
        nn.LeakyReLU(0.1),
        spectral_norm(nn.Conv2d(2 * c, 2 * c, 4, 2, 1)),
        nn.LeakyReLU(0.1),
        spectral_norm(nn.Conv2d(2 * c, 4 * c, 3, 1, 1)),
        nn.LeakyReLU(0.1),
        nn.Flatten(),
        spectral_norm(nn.Linear(4 * c * 7 * 7, 1)),
    )
