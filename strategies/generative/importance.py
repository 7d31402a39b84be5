"""FIS-GAN's latents: drawn more often where the generator's output moves, or its loss is steep.

Source: Yi et al., "FIS-GAN: GAN with flow-based importance sampling", 2019, as its abstract tells
it: latents by importance, their density by a normalising flow. No code of it was found.

Formula: the importance s(z) of a latent is one of

    jacobian   ‖∂G/∂z‖_F, from E_v ‖(∂G/∂z)ᵀ v‖² = ‖∂G/∂z‖_F² over normal v;
    gradient   ‖∂ℓ(G(z))/∂z‖, ℓ the generator's loss of a sample.

`importance_latents` draws f·n latents from the prior and keeps n of them without replacement with
probability in proportion to (1 − λ) s/s̄ + λ, each weighted by one over its chance of being kept: a
weighted mean over them estimates the mean over the prior. No density is needed for that.
`LatentFlow` learns one instead: a neural spline flow (zuko) fitted to latents z + τ ε, the
conditional Gaussian around each, with likelihoods weighted by s; it draws from
q = (1 − λ) flow + λ prior and weighs by prior/q, which is at most 1/λ.

Defaults: λ = 0.1, factor 4, one v, τ = 0.1. The generator's step takes `(weights * losses).mean()`.

Differences from reference codes: there are none known.

Expected numbers: on a linear generator both are checked against the exact norms, and weighted means
against the prior's (tests/strategies/generative/test_importance.py). Importance costs a forward and
a backward pass of f·n samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from clcore.checks import require_finite, whole_number
from clcore.errors import ArgumentError
from clcore.guard import guard
from clcore.pool import Pool
from clcore.randomness import seed_from
from clcore.selectors.importance_resampling import ImportanceResampling
from strategies.generative.extractors import one_head
from strategies.generative.latents import Draw, Prior, draw_latents
from strategies.generative.picking import pool_size

Measure = Literal["jacobian", "gradient"]


def latent_importance(
    generator: nn.Module,
    latents: Tensor,
    *,
    measure: Measure = "jacobian",
    discriminator: nn.Module | None = None,
    loss: Callable[[Tensor], Tensor] | None = None,
    probes: int = 1,
    batch_size: int = 256,
    seed: int = 0,
) -> Tensor:
    """Say how much each latent matters.

    Both networks run in evaluation mode and are found again as they were, gradients included.

    Args:
        generator: From `[b, ...]` to samples `[b, ...]`.
        latents: `[n, ...]`.
        measure: `"jacobian"` or `"gradient"`.
        discriminator: For `"gradient"`: what scores the samples.
        loss: For `"gradient"`: from scores to the generator's loss, one value a sample; by default
            the non-saturating softplus(−score).
        probes: For `"jacobian"`: how many v.
        batch_size: Latents a pass.
        seed: Of v.

    Returns:
        float32 `[n]`, none negative, on the latents' device.

    Raises:
        ArgumentError: If an argument is wrong, or the discriminator returns several heads or not
            one value a sample.
        SignalError: If an importance is NaN or infinite.
    """
    if measure not in ("jacobian", "gradient"):
        raise ArgumentError(f"measure must be 'jacobian' or 'gradient', not {measure!r}")
    if (measure == "gradient") != (discriminator is not None):
        raise ArgumentError(
            "measure='gradient' needs discriminator=, and 'jacobian' takes none: given were "
            f"measure={measure!r} and discriminator {'' if discriminator else 'not '}given"
        )
    size = whole_number("batch_size", batch_size, least=1)
    count = whole_number("probes", probes, least=1)
    noise = torch.Generator().manual_seed(whole_number("seed", seed))
    modules = [generator, *([] if discriminator is None else [discriminator])]
    parts = []
    with guard(*modules), torch.enable_grad():
        for module in modules:
            module.eval().requires_grad_(False)
        for z in torch.split(latents.detach(), size):
            z = z.clone().requires_grad_()
            samples = generator(z)
            if discriminator is not None:
                values = _losses(one_head(discriminator(samples)), len(z), loss)
                squared = _squares(values.sum(), z)
            else:
                squared = sum(
                    (_squares((samples * _normal(samples, noise)).sum(), z) for _ in range(count)),
                    torch.zeros(len(z), device=z.device),
                )
                squared = squared / count
            parts.append(squared.sqrt())
    importance = torch.cat(parts) if parts else latents.new_empty(0)
    require_finite("importance", importance)
    return importance


def importance_latents(
    n: int,
    generator: nn.Module,
    factor: float = 4,
    *,
    size: int | Sequence[int] = 128,
    prior: Prior = "normal",
    draw: Draw | None = None,
    measure: Measure = "jacobian",
    discriminator: nn.Module | None = None,
    loss: Callable[[Tensor], Tensor] | None = None,
    uniform_share: float = 0.1,
    randomness: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> tuple[Tensor, Tensor]:
    """Draw latents by importance, with the weights that make up for it.

    Args:
        n: Size of the batch.
        generator: The generator.
        factor: How many times as many are drawn from the prior; at least 1.
        size: Numbers of a latent, or its shape.
        prior: `"uniform"` on [−1, 1] or the standard `"normal"`.
        draw: `draw(count)` giving `[count, ...]`, in place of `size`, `prior` and `device`.
        measure: See `latent_importance`.
        discriminator: See `latent_importance`.
        loss: See `latent_importance`.
        uniform_share: λ, from above 0 to 1: 1 is plain drawing.
        randomness: What is drawn from; by default torch's own on the CPU.
        device: Where latents lie; it must be the generator's.

    Returns:
        Latents `[n, ...]` and weights `[n]` of mean 1.

    Raises:
        ArgumentError: If an argument is wrong.
        SignalError: If an importance is NaN or infinite.
    """
    count = whole_number("n", n, least=1)
    share = _share(uniform_share)
    candidates = pool_size(count, factor)
    latents = draw_latents(candidates, size, prior, draw, randomness, torch.float32)
    latents = latents if device is None else latents.to(device)
    seed = seed_from(torch.default_generator if randomness is None else randomness)
    importance = latent_importance(
        generator, latents, measure=measure, discriminator=discriminator, loss=loss, seed=seed
    )
    method = ImportanceResampling(scale="linear", inclusion_weights=True)
    coreset = method.select(
        Pool(scores=mixed(importance, share)), count,
        generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip
    weights = coreset.weights / coreset.weights.mean()
    return latents[coreset.indices], weights.to(latents)


def mixed(importance: Tensor, uniform_share: float) -> Tensor:
    """Mix importance with equal chances: (1 − λ) s/s̄ + λ, of mean 1 (all 1 where s is all 0)."""
    mean = importance.mean()
    scaled = importance / mean if float(mean) > 0 else torch.ones_like(importance)
    return (1 - uniform_share) * scaled + uniform_share


def _share(value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise ArgumentError(f"uniform_share must be above 0 and at most 1, not {value!r}")
    return float(value)


def _normal(like: Tensor, noise: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=noise).to(like)


def _squares(total: Tensor, z: Tensor) -> Tensor:
    """Return ‖∂total/∂z‖² of each row; the graph is kept for another probe."""
    (gradient,) = torch.autograd.grad(total, z, retain_graph=True)
    return gradient.reshape(len(z), -1).square().sum(dim=1)


def _losses(scores: Tensor, rows: int, loss: Callable[[Tensor], Tensor] | None) -> Tensor:
    values = functional.softplus(-scores) if loss is None else loss(scores)
    if values.ndim == 0 or values.numel() != rows:
        raise ArgumentError(
            f"the generator's loss must be one value a sample, {rows} here, not of shape "
            f"{tuple(values.shape)}"
        )
    return values
