"""The parts of a VAE's bound, one value a sample, in nats.

With q(z|x) = N(μ(x), diag σ²(x)) of the encoder and p(x|z) of the decoder,

    ELBO(x) = E_q log p(x|z) − KL(q(z|x) ‖ p(z)),
    log p(x) ≥ log (1/S) Σ_s p(x|z_s) p(z_s) / q(z_s|x),  z_s drawn from q(z|x),

the second by Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders", ICLR 2016; it is
nearer the larger S is. Source of the first: Kingma & Welling, "Auto-encoding variational Bayes",
ICLR 2014, whose appendix B has the divergence from a standard normal in closed form.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from clcore.errors import ArgumentError
from strategies.generative.pseudo_coreset import Likelihood


class ExemplarEncoder(nn.Module):
    """r(z|x) of an exemplar prior: the encoder's means with one learned variance for all.

    Source: Norouzi, Fleet & Norouzi, "Exemplar VAEs", NeurIPS 2020. Give the parameter
    `log_variance` to the optimizer beside those of encoder and decoder.

    Args:
        encoder: From samples to means and log-variances.
        log_variance: Where log σ² starts.

    Attributes:
        log_variance: Parameter, a scalar.
    """

    def __init__(self, encoder: nn.Module, log_variance: float = 0.0) -> None:
        super().__init__()
        self.encoder = encoder
        self.log_variance = nn.Parameter(torch.tensor(float(log_variance)))

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Return means `[m, d]` and the log-variance of all."""
        return self.encoder(samples)[0], self.log_variance


def likelihoods(samples: Tensor, decoded: Any, likelihood: Likelihood) -> Tensor:
    """Compute log p(x_b | z_b), row by row.

    Args:
        samples: `[b, ...]`.
        decoded: What the decoder made of z: logits `[b, ...]`; or means, with log-variances (of the
            same shape, one for each number of a sample, or one for all) or without (variance 1).
        likelihood: `"gaussian"` or `"bernoulli"`.

    Returns:
        `[b]`.

    Raises:
        ArgumentError: If the decoder returned something else, or samples for `"bernoulli"` are not
            from 0 to 1.
    """
    first, spread = _decoded(decoded, likelihood)
    if first.numel() != samples.numel() or len(first) != len(samples):
        raise ArgumentError(
            f"decoder must return as many numbers as a sample has, {tuple(samples.shape)}, not "
            f"{tuple(first.shape)}"
        )
    rows = samples.reshape(len(samples), -1)
    first = first.reshape(len(first), -1)
    if likelihood == "bernoulli":
        low, high = torch.aminmax(rows)
        if not 0 <= float(low) <= float(high) <= 1:
            raise ArgumentError(
                f"likelihood 'bernoulli' is of values from 0 to 1, and data go from "
                f"{float(low):.3g} to {float(high):.3g}: scale or binarise them, or take 'gaussian'"
            )
        errors = functional.binary_cross_entropy_with_logits(first, rows, reduction="none")
        return -errors.sum(dim=1)
    return normal_density(rows, first, spread.reshape(len(spread), -1) if spread.ndim else spread)


def reconstruction(decoded: Any, likelihood: Likelihood) -> Tensor:
    """Return the mean of p(x|z): probabilities for `"bernoulli"`, means for `"gaussian"`."""
    first, _ = _decoded(decoded, likelihood)
    return first.sigmoid() if likelihood == "bernoulli" else first


def normal_density(values: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Compute log N(value_b; mean_b, variance_b), row by row: `[b]` from `[b, d]`."""
    squared = (values - mean).square() * (-log_variance).exp()
    parts = squared + log_variance + math.log(2 * math.pi)
    return -0.5 * parts.expand_as(values).sum(dim=1)


def normal_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Compute KL(N(mean, variance) ‖ N(0, 1)), row by row: `[b]` from `[b, d]`."""
    parts = mean.square() + log_variance.exp() - 1 - log_variance
    return 0.5 * parts.expand_as(mean).sum(dim=1)


def _decoded(decoded: Any, likelihood: Likelihood) -> tuple[Tensor, Tensor]:
    parts = decoded if isinstance(decoded, tuple | list) else (decoded,)
    most = 2 if likelihood == "gaussian" else 1
    if not 1 <= len(parts) <= most or not all(isinstance(part, Tensor) for part in parts):
        raise ArgumentError(
            "decoder must return "
            f"{'means, with log-variances or without' if most == 2 else 'logits alone'} for the "
            f"likelihood {likelihood!r}, not {len(parts)} outputs"
        )
    return parts[0], parts[1] if len(parts) == 2 else parts[0].new_zeros(())
