"""Losses of GANs, one value a sample, and penalties on the discriminator's gradient.

In all of them a higher score means real. With scores r of real images and f of fakes:

    hinge           D: max(0, 1 − r) + max(0, 1 + f)           G: −f
    non-saturating  D: softplus(−r) + softplus(f)              G: softplus(−f)
    wasserstein     D: −r + f                                  G: −f

Sources: Lim & Ye, "Geometric GAN", 2017, and Miyato et al., "Spectral normalization for generative
adversarial networks", ICLR 2018 (hinge); Goodfellow et al., "Generative adversarial nets", NeurIPS
2014 (non-saturating); Arjovsky, Chintala & Bottou, "Wasserstein GAN", ICML 2017. Penalties:
Mescheder, Geiger & Nowozin, "Which training methods for GANs do actually converge?", ICML 2018
(R1: (γ/2) E‖∇D(x)‖² at real images); Gulrajani et al., "Improved training of Wasserstein GANs",
NeurIPS 2017 (λ E(‖∇D(x̂)‖ − 1)² at x̂ uniformly between a real image and a fake).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from clcore.errors import ArgumentError

GANLoss = Literal["hinge", "non-saturating", "wasserstein"]
Penalty = Literal["r1", "interpolated"]


def discriminator_losses(loss: GANLoss, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the discriminator's loss of each real image and of each fake.

    Args:
        loss: Which.
        real: Scores `[b]`.
        fake: Scores `[c]`.

    Returns:
        `[b]` and `[c]`; the loss is the sum of their means.
    """
    if loss == "hinge":
        return functional.relu(1 - real), functional.relu(1 + fake)
    if loss == "non-saturating":
        return functional.softplus(-real), functional.softplus(fake)
    return -real, fake


def generator_losses(loss: GANLoss, fake: Tensor) -> Tensor:
    """Compute the generator's loss of each fake, `[b]`, from the scores `[b]`."""
    return functional.softplus(-fake) if loss == "non-saturating" else -fake


def r1_penalty(scores: Tensor, real: Tensor) -> Tensor:
    """Compute ½ E‖∇D(x)‖² at real images.

    Args:
        scores: `[b]`, with their graph to the images.
        real: `[b, ...]`, a leaf that requires a gradient.

    Returns:
        A scalar with its graph.
    """
    return _squared_norms(scores, real).mean() / 2


def interpolated_penalty(
    score: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, randomness: torch.Generator
) -> Tensor:
    """Compute E(‖∇D(x̂)‖ − 1)² between real images and fakes.

    Args:
        score: From images `[b, ...]` to scores `[b]`.
        real: `[b, ...]`.
        fake: `[b, ...]`, of the same shape.
        randomness: Where on the line between the two; on the CPU.

    Returns:
        A scalar with its graph.
    """
    shape = (len(real), *[1] * (real.ndim - 1))
    share = torch.rand(shape, generator=randomness, dtype=real.dtype).to(real.device)
    points = torch.lerp(fake.detach(), real.detach(), share).requires_grad_()
    # The root's slope is infinite at 0.
    return ((_squared_norms(score(points), points) + 1e-12).sqrt() - 1).square().mean()


def _squared_norms(scores: Tensor, images: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    return gradient.reshape(len(gradient), -1).square().sum(dim=1)


def checked_loss(loss: object) -> GANLoss:
    """Refuse a loss that there is none of."""
    for known in ("hinge", "non-saturating", "wasserstein"):
        if loss == known:
            return known
    raise ArgumentError(f"loss must be 'hinge', 'non-saturating' or 'wasserstein', not {loss!r}")


def checked_penalty(kind: object) -> Penalty:
    """Refuse a penalty that there is none of."""
    if kind == "r1":
        return "r1"
    if kind == "interpolated":
        return "interpolated"
    raise ArgumentError(f"penalty must be 'r1' or 'interpolated', not {kind!r}")
