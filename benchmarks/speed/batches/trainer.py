"""A plain step of `GANTrainer` beside one of a loop written by hand, with equal networks.

Both take a step of the discriminator and one of the generator on random batches, hinge loss, Adam,
and read both losses as numbers. The usual loop computes gradients of the discriminator's parameters
in the generator's step and throws them away; the trainer doesn't, so a loop that freezes the
discriminator meanwhile is timed as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.settings import derived_seed
from benchmarks.speed.batches.settings import GenerativeSettings
from benchmarks.speed.batches.step import BATCH, IMAGES, LATENT, adam, image_networks
from benchmarks.speed.figures import Column, Table, percent_more, seconds
from benchmarks.speed.repeats import Timings, Work, paired
from strategies.generative import GANTrainer

TRAINER, USUAL, FROZEN = "GANTrainer", "usual", "frozen"
UNITS, POINT_STEPS = 128, 20
"""Hidden units of the networks of points, and how many of their steps are timed at once."""

Networks = tuple[nn.Module, nn.Module]


def trainer(settings: GenerativeSettings) -> Iterator[Table]:
    """Time steps of networks of points, and of images in each width.

    Yields:
        One table, with a row for each pair of networks.
    """
    cases: dict[str, tuple[Callable[[], Networks], tuple[int, ...], int]] = {
        f"2-d points, two hidden layers of {UNITS}": (_point_networks, (2,), POINT_STEPS)
    }
    for channels in settings.channels:
        name = f"28 × 28 images, {channels} channels"
        cases[name] = (partial(image_networks, channels), (1, 28, 28), 1)
    rows = []
    for name, (make, shape, steps) in cases.items():
        seed = derived_seed(settings.seed, name)
        timings = time_loops(make, shape, seed, steps, settings.step_rounds)
        rows.append(
            {
                "networks": name,
                **{way: timings.spread(way) for way in (USUAL, FROZEN, TRAINER)},
                **{f"over {way}": timings.ratio(TRAINER, way) for way in (USUAL, FROZEN)},
            }
        )
    yield Table(
        "trainer",
        f"A plain step of GANTrainer beside loops by hand, batch {BATCH}, one core ({POINT_STEPS} "
        f"steps at once of points): median (quartiles) of {settings.step_rounds}, in processor "
        "time",
        (
            Column("networks", "networks"),
            Column(USUAL, "by hand", seconds),
            Column(FROZEN, "by hand, discriminator frozen", seconds),
            Column(TRAINER, "`GANTrainer`", seconds),
            Column(f"over {USUAL}", "more than by hand", percent_more),
            Column(f"over {FROZEN}", "more than frozen", percent_more),
        ),
        rows,
    )


def time_loops(
    make: Callable[[], Networks], shape: tuple[int, ...], seed: int, steps: int, rounds: int
) -> Timings:
    """Time three loops over equal networks and the same data.

    Args:
        make: Makes a generator and a discriminator.
        shape: Of a row.
        seed: Of networks, data and what is drawn.
        steps: How many are timed at once.
        rounds: How often.
    """
    data = torch.rand(IMAGES, *shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    contestants: dict[str, Work] = {}
    for way in (USUAL, FROZEN, TRAINER):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            networks = make()
        optimizers = [adam(network) for network in networks]
        if way == TRAINER:
            trained = GANTrainer(
                *networks, data, *optimizers, batch_size=BATCH, latent_size=LATENT, seed=seed
            )
            contestants[way] = partial(trained.fit, steps)
        else:
            loop = _Loop(networks, optimizers, data, seed, freeze=way == FROZEN)
            contestants[way] = partial(loop.run, steps)
    return paired(contestants, rounds=rounds)


class _Loop:
    """The loop as it is written by hand."""

    def __init__(
        self,
        networks: Networks,
        optimizers: list[torch.optim.Optimizer],
        data: Tensor,
        seed: int,
        *,
        freeze: bool,
    ) -> None:
        self.generator, self.discriminator = networks
        self.generator_optimizer, self.discriminator_optimizer = optimizers
        self.data, self.freeze = data, freeze
        self.draws = torch.Generator().manual_seed(seed)

    def run(self, steps: int) -> tuple[float, float]:
        """Take steps; returns the last losses."""
        losses = (0.0, 0.0)
        for _ in range(steps):
            losses = self._step()
        return losses

    def _step(self) -> tuple[float, float]:
        real = self.data[torch.randint(len(self.data), (BATCH,), generator=self.draws)]
        with torch.no_grad():
            fake = self.generator(self._latents())
        self.discriminator_optimizer.zero_grad()
        loss = (1 - self.discriminator(real)).relu().mean()
        loss = loss + (1 + self.discriminator(fake)).relu().mean()
        torch.autograd.backward(loss)
        self.discriminator_optimizer.step()
        self.generator_optimizer.zero_grad()
        if self.freeze:
            self.discriminator.requires_grad_(False)
        score = -self.discriminator(self.generator(self._latents())).mean()
        torch.autograd.backward(score)
        if self.freeze:
            self.discriminator.requires_grad_(True)
        self.generator_optimizer.step()
        return float(loss.detach()), float(score.detach())

    def _latents(self) -> Tensor:
        return torch.rand(BATCH, LATENT, generator=self.draws).mul_(2).sub_(1)


def _point_networks() -> Networks:
    def network(inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(
            nn.Linear(inputs, UNITS), nn.ReLU(), nn.Linear(UNITS, UNITS), nn.ReLU(),
            nn.Linear(UNITS, outputs),
        )  # fmt: skip

    return network(LATENT, 2), network(2, 1)
