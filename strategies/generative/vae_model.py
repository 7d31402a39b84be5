"""A VAE as a model: encoder, decoder, likelihood and prior, and what follows from the four."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from clcore.checks import whole_number
from clcore.errors import ArgumentError
from clcore.guard import guard
from strategies.generative.pseudo_coreset import Likelihood, PseudoCoreset, encoded
from strategies.generative.training_loop import chunks
from strategies.generative.vae_objective import (
    likelihoods,
    normal_density,
    normal_divergence,
    reconstruction,
)

_PASS = 4096
"""The most latents that are decoded at a time while likelihoods are measured."""


class VAEModel:
    """Networks, likelihood and prior.

    Args:
        encoder: From samples to means and log-variances.
        decoder: From latents to what the likelihood is made of.
        likelihood: `"bernoulli"` or `"gaussian"`.
        prior: Exemplars; None for the standard normal.
        prior_encoder: r(z|x) of the exemplars.
        example: A few samples `[b, ...]` that the networks are tried with.

    Attributes:
        shape: Of a sample.
        latent_size: Numbers of a latent.

    Raises:
        ArgumentError: If the networks don't fit the samples or each other, or the prior doesn't.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        prior: PseudoCoreset | None,
        prior_encoder: nn.Module,
        example: Tensor,
    ) -> None:
        if likelihood not in ("bernoulli", "gaussian"):
            raise ArgumentError(f"likelihood must be 'bernoulli' or 'gaussian', not {likelihood!r}")
        self.encoder, self.decoder, self.likelihood = encoder, decoder, likelihood
        self.prior, self.prior_encoder = prior, prior_encoder
        self.networks = [encoder, decoder, prior_encoder]
        self.shape, self.device = example.shape[1:], example.device
        if prior is not None:
            _require_prior(prior, self.shape, self.device)
        self.latent_size = self._try(example)

    def divergence(self, z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        """Compute KL(q(z|x) ‖ p(z)), exactly or, with exemplars, at one z a sample.

        Args:
            z: `[b, d]`, drawn from q.
            mean: `[b, d]`.
            log_variance: `[b, d]` or one for all.

        Returns:
            `[b]`.
        """
        if self.prior is None:
            return normal_divergence(mean, log_variance)
        return normal_density(z, mean, log_variance) - self.prior.log_prior(z, self.prior_encoder)

    def bounds(self, x: Tensor, samples: int, seed: int, *, weighted: bool) -> Tensor:
        """Compute bounds on log p(x), networks in evaluation mode and found again as they were.

        Args:
            x: `[b, ...]`.
            samples: Latents a sample.
            seed: Of these.
            weighted: Weigh by importance, or take the mean of ELBOs.

        Returns:
            `[b]`, in nats.

        Raises:
            ArgumentError: If an argument is wrong.
        """
        count = whole_number("samples", samples, least=1)
        randomness = torch.Generator().manual_seed(whole_number("seed", seed))
        if x.ndim == 0 or tuple(x.shape[1:]) != tuple(self.shape):
            raise ArgumentError(
                f"x must be [b, {', '.join(map(str, self.shape))}], as the data are, not "
                f"{tuple(x.shape)}"
            )
        found = []
        with guard(*self.networks, seed=seed), torch.no_grad():
            self._evaluation_mode()
            for rows in torch.split(x.to(self.device), 256):
                at_once = max(1, _PASS // max(1, len(rows)))
                terms = torch.cat(
                    [self._terms(rows, c, randomness, weighted) for c in chunks(count, at_once)]
                )
                found.append(
                    torch.logsumexp(terms, dim=0) - math.log(count) if weighted else terms.mean(0)
                )
        return torch.cat(found)

    def sample(self, count: int, seed: int, batch_size: int) -> Tensor:
        """Draw latents from the prior and decode them to the mean of p(x|z): `[count, ...]`."""
        count = whole_number("count", count, least=1)
        size = whole_number("batch_size", batch_size, least=1)
        randomness = torch.Generator().manual_seed(whole_number("seed", seed))
        with guard(*self.networks, seed=seed), torch.no_grad():
            self._evaluation_mode()
            made = [
                reconstruction(self.decoder(self._from_prior(part, randomness)), self.likelihood)
                for part in chunks(count, size)
            ]
        return torch.cat(made).reshape(count, *self.shape)

    def _from_prior(self, count: int, randomness: torch.Generator) -> Tensor:
        if self.prior is not None:
            return self.prior.sample(count, self.prior_encoder, randomness)
        return torch.randn(count, self.latent_size, generator=randomness).to(self.device)

    def _terms(
        self, x: Tensor, samples: int, randomness: torch.Generator, weighted: bool
    ) -> Tensor:
        """Compute the bound's term of each latent: `[samples, b]`."""
        mean, log_variance = encoded(x, self.encoder)
        mean, log_variance = (
            part.expand_as(mean).repeat(samples, 1) for part in (mean, log_variance)
        )
        z = reparametrised(mean, log_variance, randomness)
        repeated = x.repeat(samples, *[1] * (x.ndim - 1))
        found = likelihoods(repeated, self.decoder(z), self.likelihood)
        if weighted and self.prior is None:
            zero = z.new_zeros(())
            found = found + normal_density(z, zero, zero) - normal_density(z, mean, log_variance)
        else:
            found = found - self.divergence(z, mean, log_variance)
        return found.reshape(samples, len(x))

    def _evaluation_mode(self) -> None:
        for network in self.networks:
            network.eval()

    def _try(self, x: Tensor) -> int:
        """Run the networks once, so that what doesn't fit is said at the door; return d."""
        with guard(*self.networks, seed=0), torch.no_grad():
            self._evaluation_mode()
            try:
                mean, log_variance = encoded(x, self.encoder)
            except (RuntimeError, TypeError, IndexError) as error:
                raise ArgumentError(
                    f"encoder doesn't take samples {tuple(x.shape)}: {error}"
                ) from error
            if log_variance.ndim and log_variance.shape != mean.shape:
                raise ArgumentError(
                    "encoder must return log-variances as the means, or one for all, not shapes "
                    f"{tuple(log_variance.shape)} and {tuple(mean.shape)}"
                )
            try:
                decoded = self.decoder(mean)
            except (RuntimeError, TypeError, IndexError) as error:
                raise ArgumentError(
                    f"decoder doesn't take latents of the encoder, {tuple(mean.shape)}: {error}"
                ) from error
            likelihoods(x, decoded, self.likelihood)
            if self.prior is not None:
                self.divergence(mean, mean, log_variance)
        return mean.shape[1]


def reparametrised(mean: Tensor, log_variance: Tensor, randomness: torch.Generator) -> Tensor:
    """Draw z = μ + σ ε with its graph: `[b, d]`; the generator is one on the CPU."""
    noise = torch.randn(mean.shape, generator=randomness, dtype=mean.dtype).to(mean.device)
    return mean + (0.5 * log_variance).exp() * noise


def _require_prior(prior: object, shape: torch.Size, device: torch.device) -> None:
    if not isinstance(prior, PseudoCoreset):
        raise ArgumentError(f"prior must be a PseudoCoreset or None, not {type(prior).__name__}")
    if prior.points.shape[1:] != shape:
        raise ArgumentError(
            f"prior has points of shape {tuple(prior.points.shape[1:])} where the data have "
            f"{tuple(shape)}"
        )
    if prior.points.device != device:
        raise ArgumentError(f"prior is on {prior.points.device} where the encoder is on {device}")
