"""Train a VAE with chosen batches, and with a normal prior or one of learned exemplars.

Source: Kingma & Welling, "Auto-encoding variational Bayes", ICLR 2014; the prior of exemplars is
that of Ai et al., "ByPE-VAE", NeurIPS 2021 (`pseudo_coreset.py`).

Formula: a step descends −E_q log p(x|z) + β KL(q(z|x) ‖ p(z)) with one z a sample. With the normal
prior the divergence is in closed form; with exemplars it is log q(z|x) − log p(z|U, w) at that z.
β rises from 0 to 1 over `beta_warmup` steps. Every few passes over the data a number of steps of
residual matching moves the exemplars, networks held fixed.

Defaults: Bernoulli likelihood, no warm-up; with exemplars ten steps of matching after each pass.

Differences from reference codes: ByPE-VAE's prior has a variance of its own beside the encoder's:
that is `prior_encoder=ExemplarEncoder(encoder)`. By default the encoder serves for both.

Expected numbers: bounds of a linear Gaussian model against the exact likelihood
(tests/strategies/generative/test_vae_trainer.py).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from clcore.checks import whole_number
from clcore.errors import ArgumentError
from clcore.guard import guard
from strategies.generative.batch_sampler import CoresetBatchSampler
from strategies.generative.image_rows import ShuffledBatches, Transform
from strategies.generative.pseudo_coreset import (
    Likelihood,
    PseudoCoreset,
    ResidualMatching,
    encoded,
)
from strategies.generative.seeds import mixed_seed
from strategies.generative.training_loop import TrainingLoop, trained_parameters
from strategies.generative.vae_model import VAEModel, reparametrised
from strategies.generative.vae_objective import likelihoods


class VAETrainer(TrainingLoop):
    """Trains an encoder and a decoder in place; see `TrainingLoop` for clocks and counts.

    Args:
        encoder: From samples `[b, ...]` to means `[b, d]` and log-variances, `[b, d]` or one for
            all.
        decoder: From latents `[b, d]` to logits `[b, ...]` for `"bernoulli"`; to means, with
            log-variances or (means alone) variance 1, for `"gaussian"`.
        data: Samples: a tensor `[n, ...]`, or a data set of `x` or `(x, y)`.
        optimizer: Made over the parameters of both.
        batch_size: Samples a step.
        likelihood: `"bernoulli"`, of samples from 0 to 1, or `"gaussian"`.
        beta_warmup: Steps over which β rises from 0 to 1.
        images: A `CoresetBatchSampler` that chooses the samples of each batch; None for random
            ones.
        prior: Exemplars, on the encoder's device; None for the standard normal.
        prior_encoder: r(z|x) of the exemplars, such as `ExemplarEncoder(encoder)`; by default the
            encoder.
        matching_every: (passes over the data, steps): after so many passes the exemplars are moved
            by so many steps.
        matching_rate: γ₀ of `ResidualMatching`.
        matching_samples: S of `ResidualMatching`.
        matching_bounds: What exemplars are kept within, such as `(0.0, 1.0)` for pixels.
        transform: Applied to each batch.
        seed: Of orders, noise and all else that is drawn.

    Attributes:
        model: The four parts together.

    Raises:
        ArgumentError: An argument is wrong, or the networks don't fit the data or each other.

    Example:
        >>> class Encoder(nn.Linear):
        ...     def forward(self, x):
        ...         return super().forward(x).chunk(2, dim=1)
        >>> encoder, decoder = Encoder(8, 4), nn.Linear(2, 8)
        >>> optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()])
        >>> trainer = VAETrainer(encoder, decoder, torch.rand(50, 8), optimizer, batch_size=10)
        >>> sorted(trainer.fit(2)), trainer.elbo(torch.rand(3, 8)).shape, trainer.sample(5).shape
        (['divergence', 'loss', 'reconstruction'], torch.Size([3]), torch.Size([5, 8]))
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        data: Any,
        optimizer: Optimizer,
        *,
        batch_size: int = 64,
        likelihood: Likelihood = "bernoulli",
        beta_warmup: int = 0,
        images: CoresetBatchSampler | None = None,
        prior: PseudoCoreset | None = None,
        prior_encoder: nn.Module | None = None,
        matching_every: tuple[int, int] = (1, 10),
        matching_rate: float = 0.1,
        matching_samples: int = 500,
        matching_bounds: tuple[float, float] | None = None,
        transform: Transform | None = None,
        seed: int = 0,
    ) -> None:
        own = {} if prior_encoder is None else {"prior_encoder": prior_encoder}
        super().__init__(
            {"encoder": encoder, "decoder": decoder, **own}, {"optimizer": optimizer}, data,
            batch_size=batch_size, images=images, transform=transform, seed=seed,
        )  # fmt: skip
        trained_parameters("optimizer", optimizer, encoder, decoder, *own.values())
        self._optimizer = optimizer
        self.encoder, self.decoder, self.prior = encoder, decoder, prior
        with guard(seed=0):
            example = self.data.read(torch.zeros(2, dtype=torch.int64))
        self.model = VAEModel(
            encoder, decoder, likelihood, prior, prior_encoder or encoder, example
        )
        self.beta_warmup = whole_number("beta_warmup", beta_warmup)
        self.matching_every = _pair(matching_every)
        self.matching: ResidualMatching | None = None
        if prior is not None:
            other = mixed_seed(self.seed, 0)
            self.matching = ResidualMatching(
                prior, self.model.prior_encoder, decoder, likelihood=likelihood, rate=matching_rate,
                samples=matching_samples, bounds=matching_bounds, seed=other,
            )  # fmt: skip
            self._matched = ShuffledBatches(len(self.data), self.batch_size, other)
        elif prior_encoder is not None:
            raise ArgumentError("prior_encoder is that of a prior of exemplars: give prior= too")

    @property
    def beta(self) -> float:
        """β of the next step."""
        return min(1.0, self.iteration / self.beta_warmup) if self.beta_warmup else 1.0

    def elbo(self, x: Tensor, samples: int = 1, seed: int = 0) -> Tensor:
        """Compute the bound of samples, in nats, with β = 1.

        Networks run in evaluation mode and are found again as they were.

        Args:
            x: `[b, ...]`, as the transform leaves them.
            samples: Latents a sample, whose mean is taken.
            seed: Of these.

        Returns:
            `[b]`.
        """
        return self.model.bounds(x, samples, seed, weighted=False)

    def log_likelihood(self, x: Tensor, samples: int = 100, seed: int = 0) -> Tensor:
        """Estimate log p(x) by importance weighting, in nats: a bound that rises with `samples`.

        With the Bernoulli likelihood it is that of binary data; values between are taken as
        probabilities, whose figure is only to be compared with others of the same data.

        Args:
            x: `[b, ...]`, as the transform leaves them.
            samples: Latents a sample.
            seed: Of these.

        Returns:
            `[b]`.
        """
        return self.model.bounds(x, samples, seed, weighted=True)

    def sample(self, count: int, seed: int = 0, *, batch_size: int = 256) -> Tensor:
        """Make samples: latents of the prior, decoded to the mean of p(x|z).

        The networks run in evaluation mode; BatchNorm, gradients and global random states stay as
        they are.

        Args:
            count: How many.
            seed: Of the latents.
            batch_size: Samples a pass.

        Returns:
            `[count, ...]`, on the decoder's device.
        """
        return self.model.sample(count, seed, batch_size)

    def parts(self) -> dict[str, Any]:
        """Return what has a state of its own, by name; for `save`."""
        if self.prior is None:
            return super().parts()
        return {**super().parts(), "prior": self.prior, "matching": self.matching}

    def settings(self) -> dict[str, Any]:
        """Return what a resumed trainer must have in common with the saved one."""
        found = {
            **super().settings(),
            "likelihood": self.model.likelihood,
            "beta_warmup": self.beta_warmup,
            "prior": None if self.prior is None else len(self.prior.relative),
        }
        if self.matching is not None:
            bounds = self.matching.bounds
            found["matching_every"] = list(self.matching_every)
            found["matching_rate"] = self.matching.rate
            found["matching_samples"] = self.matching.samples
            found["matching_bounds"] = None if bounds is None else list(bounds)
        return found

    def _step(self) -> None:
        x = self.data.read(self._next_rows())
        mean, log_variance = encoded(x, self.encoder)
        z = reparametrised(mean, log_variance, self._draws)
        reconstructed = likelihoods(x, self.decoder(z), self.model.likelihood).mean()
        divergence = self.model.divergence(z, mean, log_variance).mean()
        loss = self.beta * divergence - reconstructed
        self.last["reconstruction"] = self._finite("reconstruction", reconstructed)
        self.last["divergence"] = self._finite("divergence", divergence)
        self.last["loss"] = self._finite("loss", loss)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        points = 0 if self.prior is None else len(self.prior.relative)
        self.forward_rows += 2 * self.batch_size + points
        self.backward_rows += 2 * self.batch_size + points
        if self.matching is not None and self._is_due():
            with self._watch.selecting(on_device=True):
                self._match(self.matching)

    def _match(self, matching: ResidualMatching) -> None:
        for _ in range(self.matching_every[1]):
            rows = self._matched.batch(matching.taken)
            self.last["residual"] = matching.step(self.data.read(rows))
            self.forward_rows += len(matching.coreset.relative) + matching.samples

    def _is_due(self) -> bool:
        """Whether this step is the first to complete so many further passes over the data."""
        passes = self.matching_every[0]
        before = (self.drawn - 1) * self.batch_size // len(self.data)
        return self.epoch // passes > before // passes


def _pair(matching_every: object) -> tuple[int, int]:
    if not isinstance(matching_every, tuple | list) or len(matching_every) != 2:
        raise ArgumentError(
            f"matching_every must be (passes over the data, steps), not {matching_every!r}"
        )
    passes, steps = matching_every
    return (
        whole_number("matching_every's passes", passes, least=1),
        whole_number("matching_every's steps", steps, least=1),
    )
