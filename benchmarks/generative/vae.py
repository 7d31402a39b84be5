"""A VAE as it is trained in a cell."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.generative.choosing import Chosen
from benchmarks.generative.data import GenerativeData
from benchmarks.generative.learner import Learner, Passes
from benchmarks.generative.method import GenerativeMethod
from benchmarks.generative.networks import build_vae
from benchmarks.generative.plan import GenerativeCell
from benchmarks.generative.suite import GenerativeSuite
from benchmarks.settings import derived_seed
from strategies.generative import ExemplarEncoder, PseudoCoreset, VAETrainer

BOUND_SAMPLES = 10
"""Latents a test image of the ELBO, whose mean they don't change."""


class VAELearner(Learner):
    """A VAE; see `make_learner` for the arguments."""

    trainer: VAETrainer

    def __init__(
        self,
        suite: GenerativeSuite,
        cell: GenerativeCell,
        method: GenerativeMethod,
        data: GenerativeData,
        chosen: Chosen,
    ) -> None:
        self.suite, self.cell = suite, cell
        self.prepared = chosen.cost
        networks = build_vae(suite, data.shape, derived_seed(cell.seed, "networks"))
        encoder, decoder = (network.to(suite.device) for network in networks)
        prior = prior_encoder = None
        trained: list[nn.Module] = [encoder, decoder]
        if method.pseudo_coreset:
            prior = exemplars(suite, cell, data, chosen).to(suite.device)
            prior_encoder = ExemplarEncoder(encoder).to(suite.device)
            trained = [prior_encoder, decoder]
        self.trainer = VAETrainer(
            encoder,
            decoder,
            data.subset(chosen.rows),
            torch.optim.Adam(
                [parameter for module in trained for parameter in module.parameters()],
                suite.learning_rate,
                suite.betas,
            ),
            batch_size=cell.batch_size,
            likelihood=suite.likelihood,
            beta_warmup=suite.beta_warmup,
            images=chosen.sampler,
            prior=prior,
            prior_encoder=prior_encoder,
            matching_every=(suite.matching_every, suite.matching_steps),
            matching_bounds=(0.0, 1.0),
            transform=data.transform,
            seed=derived_seed(cell.seed, "orders"),
        )
        assert data.transform is not None
        self.tests = data.transform(data.test_x[: suite.likelihood_rows]).to(suite.device)

    def sample(self, count: int, seed: int) -> Tensor:
        """Means of the decoder, which are no draws of pixels."""
        return self.trainer.sample(count, seed)

    def measure(self) -> dict[str, float]:
        """Mean bound and log-likelihood of test images, in nats."""
        seed = derived_seed(self.cell.seed, "likelihood")
        weighted = self.trainer.log_likelihood(self.tests, self.suite.likelihood_samples, seed)
        plain = self.trainer.elbo(self.tests, BOUND_SAMPLES, seed)
        return {
            "log_likelihood": float(weighted.double().mean()),
            "elbo": float(plain.double().mean()),
        }

    def chosen_rows(self) -> Passes:
        """Matching encodes the exemplars and decodes latents."""
        matching = self.trainer.matching
        if matching is None:
            return super().chosen_rows()
        rows = len(matching.coreset.relative) + matching.samples
        return {"forward": matching.taken * rows, "backward": 0}


def exemplars(
    suite: GenerativeSuite, cell: GenerativeCell, data: GenerativeData, chosen: Chosen
) -> PseudoCoreset:
    """Exemplars that start as random training rows, of which there are enough."""
    rows = torch.arange(len(data.x)) if chosen.rows is None else chosen.rows
    generator = torch.Generator().manual_seed(derived_seed(cell.seed, "exemplars"))
    drawn = rows[torch.randperm(len(rows), generator=generator)[: suite.pseudo_points]]
    assert data.transform is not None
    return PseudoCoreset(data.transform(data.x[drawn]), total=len(rows))
