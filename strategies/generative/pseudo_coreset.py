"""ByPE-VAE's prior: a few learned, weighted pseudo-samples stand for all exemplars.

Source: Ai et al., "ByPE-VAE: Bayesian pseudocoresets exemplar VAE", NeurIPS 2021, on Norouzi, Fleet
& Norouzi, "Exemplar VAEs", NeurIPS 2020; the residual and its gradients are those of Manousakis et
al., "Bayesian pseudocoresets", NeurIPS 2020.

Formula: with r(z|x) = N(z; μ(x), σ²), what the encoder makes of x with a variance of the prior's
own, the prior of M pseudo-samples u_m with weights w_m is

    p(z | U, w) = Σ_m (w_m / N) r(z | u_m),  w ≥ 0, Σ w = N.

It is moved towards that of all N samples, each with weight 1, by stochastic residual matching: at S
latents z_s drawn from p(z | U, w), with v(x)_s = log p(x|z_s) of the decoder less its mean over s,
and a batch of B samples,

    ρ = (N/B) Σ_b v(x_b) − Σ_m w_m v(u_m),   L = ‖ρ‖² / (2 S),

a step of Adam on (U, w) with the rate γ₀ / (t + 1), z_s and both networks held fixed; then w is cut
at 0 and scaled to sum N. So ∂L/∂w_m = −⟨v(u_m), ρ⟩/S and ∂L/∂u_m = −w_m ⟨∂v(u_m)/∂u_m, ρ⟩/S.

Note what is matched: where log p(x|z) is linear in x but for terms without z (Bernoulli; Gaussian
with one variance) ρ depends on the pseudo-samples through Σ w_m u_m alone; with a variance that
depends on z, through Σ w_m u_m² too.

Defaults: S = 500, γ₀ = 0.1; the authors' command line has 0.5, with M = 500 points. L is divided by
N², which changes nothing but the meaning of Adam's ε.

Differences from reference codes: theirs takes the mean of ∂v/∂u over pixels off, not over the S
latents, which makes it another direction than the gradient; moves w by steps of at most γ₀/(t + 1)
beside values of N/M, so that w hardly changes (here Adam moves w M / N); and makes probabilities of
w by adding to all what their mean lacks. The networks are looked at in evaluation mode under a
guard. w is kept above 1e-6 N / M.

Expected numbers: gradients by hand; samples that stand for themselves leave no residual; two points
take on the mean of the data (tests/strategies/generative/test_pseudo_coreset.py).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from clcore.checks import as_tensor, whole_number
from clcore.errors import ArgumentError, SignalError
from clcore.guard import guard
from strategies.generative.picking import vectors_of

Encode = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From samples `[m, ...]` to means `[m, d]` and log-variances, `[m, d]` or one for all."""

Likelihood = Literal["gaussian", "bernoulli"]


class PseudoCoreset(nn.Module):
    """Weighted pseudo-samples whose encodings make a mixture prior.

    Args:
        points: `[M, ...]`: where they start, such as rows of the data.
        total: N: how many samples they stand for.

    Attributes:
        points: Parameter `[M, ...]`.
        relative: Parameter `[M]`: the weights in units of N / M, of mean 1.
        total: N.

    Raises:
        ArgumentError: If there are no points, or more than samples.
    """

    def __init__(self, points: Tensor, total: int) -> None:
        super().__init__()
        start = vectors_of("points", points)
        self.total = whole_number("total", total, least=1)
        if len(start) > self.total:
            raise ArgumentError(
                f"points has {len(start)} rows to stand for total = {total} samples"
            )
        self.points = nn.Parameter(start.clone())
        self.relative = nn.Parameter(torch.ones_like(start[:, 0].reshape(len(start), -1)[:, 0]))

    @property
    def weights(self) -> Tensor:
        """`[M]`: how many samples each point stands for; none negative, of sum `total`."""
        return self.relative * (self.total / len(self.relative))

    def log_prior(self, z: Tensor, encode: Encode) -> Tensor:
        """Compute log p(z | U, w), with its graph through z and the encoder.

        Args:
            z: `[s, d]`.
            encode: The encoder.

        Returns:
            `[s]`: the prior's part of the VAE's loss.
        """
        shares = (self.relative.detach() / len(self.relative)).log()
        return torch.logsumexp(log_density(z, self.points.detach(), encode) + shares, dim=1)

    @torch.no_grad()
    def sample(self, count: int, encode: Encode, generator: torch.Generator) -> Tensor:
        """Draw latents from the prior: `[count, d]`; the generator is one on the CPU."""
        mean, log_variance = encoded(self.points, encode)
        probabilities = self.relative.detach().cpu().double()
        which = torch.multinomial(probabilities, count, replacement=True, generator=generator)
        noise = torch.randn(count, mean.shape[1], generator=generator).to(mean)
        spread = (0.5 * log_variance.expand_as(mean)).exp()
        which = which.to(mean.device)
        return mean[which] + spread[which] * noise


class ResidualMatching:
    """Moves a pseudo-coreset towards the exemplar prior, batch by batch.

    Args:
        coreset: The points and weights.
        encoder: From samples to means and log-variances of r(z|x).
        decoder: From latents `[s, d]` to what the likelihood is made of: means `[s, ...]`, with
            log-variances or (means alone) variance 1, for `"gaussian"`; logits for `"bernoulli"`.
        likelihood: `"gaussian"` or `"bernoulli"`.
        rate: γ₀.
        samples: S.
        bounds: What points are kept within, such as `(0.0, 1.0)` for pixels; None for free.
        seed: Of the latents drawn.

    Raises:
        ArgumentError: If an argument is out of range.
    """

    def __init__(
        self,
        coreset: PseudoCoreset,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        likelihood: Likelihood = "gaussian",
        rate: float = 0.1,
        samples: int = 500,
        bounds: tuple[float, float] | None = None,
        seed: int = 0,
    ) -> None:
        if not 0 < rate < math.inf:
            raise ArgumentError(f"rate must be a finite number above 0, not {rate!r}")
        if likelihood not in ("gaussian", "bernoulli"):
            raise ArgumentError(f"likelihood must be 'gaussian' or 'bernoulli', not {likelihood!r}")
        self.coreset, self.encoder, self.decoder = coreset, encoder, decoder
        self.likelihood, self.rate, self.bounds, self.taken = likelihood, rate, bounds, 0
        self.samples = whole_number("samples", samples, least=2)
        self._optimizer = torch.optim.Adam([coreset.points, coreset.relative], rate)
        self._generator = torch.Generator().manual_seed(whole_number("seed", seed))

    def step(self, batch: Tensor) -> float:
        """Take one step.

        Args:
            batch: `[B, ...]`: samples of the data, drawn uniformly.

        Returns:
            ‖ρ‖ / (N √S): the residual before the step, for each sample.

        Raises:
            ArgumentError: If a network doesn't return what it should.
            SignalError: If the residual is NaN or infinite.
        """
        coreset = self.coreset
        with guard(self.encoder, self.decoder), torch.enable_grad():
            self.encoder.eval()
            self.decoder.eval()
            z = coreset.sample(self.samples, self.encoder, self._generator)
            with torch.no_grad():
                decoded = self.decoder(z)
            residual = match_residual(coreset, as_tensor("batch", batch), decoded, self.likelihood)
            residual = residual / coreset.total
            loss = residual.square().mean() / 2
            if not bool(torch.isfinite(loss)):
                raise SignalError("signal 'residual' holds NaN or infinity: take a smaller rate")
            gradients = torch.autograd.grad(loss, [coreset.points, coreset.relative])
        for group in self._optimizer.param_groups:
            group["lr"] = self.rate / (self.taken + 1)
        coreset.points.grad, coreset.relative.grad = gradients
        self._optimizer.step()
        coreset.points.grad = coreset.relative.grad = None
        with torch.no_grad():
            if self.bounds is not None:
                coreset.points.clamp_(*self.bounds)
            # Not to 0: the logarithm is taken, and a point must be able to come back.
            coreset.relative.clamp_min_(1e-6)
            coreset.relative.div_(coreset.relative.mean())
        self.taken += 1
        return float((2 * loss.detach()).sqrt())

    def state_dict(self) -> dict[str, Any]:
        """Return what the next steps depend on beside the points and weights."""
        return {
            "taken": self.taken,
            "optimizer": copy.deepcopy(self._optimizer.state_dict()),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what `state_dict` returned."""
        self.taken = int(state["taken"])
        self._optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        self._generator.set_state(state["generator"])


def log_density(z: Tensor, samples: Tensor, encode: Encode) -> Tensor:
    """Compute log r(z_s | x_m) for all pairs.

    Args:
        z: `[s, d]`.
        samples: `[m, ...]`.
        encode: The encoder.

    Returns:
        `[s, m]`.

    Raises:
        ArgumentError: If the encoder doesn't return means and log-variances.
    """
    return _gaussian(z, *encoded(samples, encode))


def log_likelihood(samples: Tensor, decoded: Any, likelihood: Likelihood) -> Tensor:
    """Compute log p(x_m | z_s) for all pairs.

    Args:
        samples: `[m, ...]`.
        decoded: What the decoder made of the latents.
        likelihood: `"gaussian"` or `"bernoulli"`.

    Returns:
        `[m, s]`.

    Raises:
        ArgumentError: If the decoder returned something else than the likelihood needs.
    """
    rows = samples.reshape(len(samples), -1)
    parts = decoded if isinstance(decoded, tuple | list) else (decoded,)
    most = 2 if likelihood == "gaussian" else 1
    if not 1 <= len(parts) <= most or not all(isinstance(part, Tensor) for part in parts):
        raise ArgumentError(
            f"decoder must return {'means and log-variances' if most == 2 else 'logits'}, not "
            f"{len(parts)} outputs"
        )
    first = parts[0].reshape(len(parts[0]), -1)
    if first.shape[1] != rows.shape[1]:
        raise ArgumentError(
            f"decoder must return {rows.shape[1]} numbers for a sample, as the data have, not "
            f"{first.shape[1]}"
        )
    if likelihood == "bernoulli":
        found: Tensor = rows @ first.t() - functional.softplus(first).sum(dim=1)
        return found
    spread = parts[1] if len(parts) == 2 else torch.zeros_like(first)
    spread = spread.reshape(len(spread), -1) if spread.ndim > 1 else spread
    return _gaussian(rows, first, spread)


def match_residual(
    coreset: PseudoCoreset, batch: Tensor, decoded: Any, likelihood: Likelihood
) -> Tensor:
    """Compute ρ at decoded latents, with its graph through points and weights alone.

    Args:
        coreset: Points and weights.
        batch: `[B, ...]`.
        decoded: What the decoder made of S latents.
        likelihood: `"gaussian"` or `"bernoulli"`.

    Returns:
        `[S]`.
    """
    with torch.no_grad():
        data = log_likelihood(batch, decoded, likelihood).mean(dim=0) * coreset.total
        wanted = data - data.mean()
    own = log_likelihood(coreset.points, decoded, likelihood)
    residual: Tensor = wanted - coreset.weights @ (own - own.mean(dim=1, keepdim=True))
    return residual


def _gaussian(values: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return log N(values_a; mean_b, variance_b) for all pairs: `[a, b]`.

    ‖x − μ‖² by coordinates is multiplied out, so that nothing larger than `[a, b]` is held.
    """
    log_variance = log_variance.expand_as(mean)
    precision = (-log_variance).exp()
    squared = (
        values.square() @ precision.t()
        - 2 * values @ (mean * precision).t()
        + (mean.square() * precision).sum(dim=1)
    )
    constant = log_variance.sum(dim=1) + mean.shape[1] * math.log(2 * math.pi)
    return -0.5 * (squared + constant)


def encoded(samples: Tensor, encode: Encode) -> tuple[Tensor, Tensor]:
    """Return means `[m, d]` and log-variances of samples `[m, ...]`, and refuse anything else."""
    found = encode(samples)
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise ArgumentError(
            f"encoder must return means and log-variances, two tensors, not {type(found).__name__}"
        )
    mean, log_variance = found
    if mean.ndim != 2 or len(mean) != len(samples):
        raise ArgumentError(
            f"encoder must return means [{len(samples)}, d], not {tuple(mean.shape)}"
        )
    return mean, torch.as_tensor(log_variance, dtype=mean.dtype, device=mean.device)
