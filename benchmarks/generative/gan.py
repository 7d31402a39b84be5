"""A GAN as it is trained in a cell."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.generative.choosing import Chosen
from benchmarks.generative.data import GenerativeData
from benchmarks.generative.learner import Learner, Passes
from benchmarks.generative.method import GenerativeMethod, make_selector
from benchmarks.generative.networks import build_gan
from benchmarks.generative.plan import GenerativeCell
from benchmarks.generative.suite import GenerativeSuite
from benchmarks.settings import derived_seed
from strategies.generative import GANTrainer, TopKSchedule
from strategies.generative.picking import pool_size


class GANLearner(Learner):
    """A GAN; see `make_learner` for the arguments."""

    trainer: GANTrainer

    def __init__(
        self,
        suite: GenerativeSuite,
        cell: GenerativeCell,
        method: GenerativeMethod,
        data: GenerativeData,
        chosen: Chosen,
    ) -> None:
        self.suite, self.cell, self.method = suite, cell, method
        self.prepared = chosen.cost
        networks = build_gan(suite, data.shape, derived_seed(cell.seed, "networks"))
        generator, discriminator = (network.to(suite.device) for network in networks)
        rate = suite.learning_rate
        self.trainer = GANTrainer(
            generator,
            discriminator,
            data.subset(chosen.rows),
            torch.optim.Adam(generator.parameters(), rate, suite.betas),
            torch.optim.Adam(
                discriminator.parameters(), suite.discriminator_rate or rate, suite.betas
            ),
            batch_size=cell.batch_size,
            loss=suite.loss,
            latent_size=suite.latent_size,
            prior=suite.prior,
            latents=(
                make_selector(method.latents, suite.latent_options) if method.latents else None
            ),
            latent_factor=suite.latent_factor,
            images=chosen.sampler,
            top_k=(
                TopKSchedule(cell.batch_size, suite.top_k_gamma, suite.top_k_nu)
                if method.top_k
                else None
            ),
            importance=method.importance,
            gradient_penalty=suite.gradient_penalty,
            penalty=suite.penalty,
            discriminator_steps=suite.discriminator_steps,
            ema=suite.ema,
            transform=data.transform,
            seed=derived_seed(cell.seed, "orders"),
        )

    def sample(self, count: int, seed: int) -> Tensor:
        """Generated images, or points."""
        return self.trainer.sample(count, seed)

    def chosen_rows(self) -> Passes:
        """Importance looks at all candidates, forward and backward."""
        if not self.method.importance:
            return super().chosen_rows()
        rows = self.trainer.iteration * pool_size(self.cell.batch_size, self.suite.latent_factor)
        return {"forward": rows, "backward": rows}
