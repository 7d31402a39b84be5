"""Train a GAN with chosen latents, chosen images, chosen fakes, or none of them.

Source: the loop is that of Goodfellow et al., "Generative adversarial nets", NeurIPS 2014,
algorithm 1. What may be chosen in it: latents and images (Sinha et al., "Small-GAN", ICML 2020;
`latents.py`, `batch_sampler.py`), the fakes that the generator learns from (Sinha et al., "Top-k
training of GANs", NeurIPS 2020; `top_k.py`), latents by importance (Yi et al., "FIS-GAN", 2019;
`importance.py`).

Formula: an iteration takes `discriminator_steps` steps of the discriminator, each on a new batch of
B images and B fakes, and one of the generator, on B new fakes. Losses: `gan_losses.py`; the
generator's is the mean of weight × loss over the fakes that count.

Defaults: hinge loss, latents uniform on [−1, 1], everything plain. Latents are chosen out of 4 B as
in Small-GAN. Top-k counts whole passes over the data as epochs.

Differences from reference codes: there are none of Small-GAN and FIS-GAN. The generator's step
computes no gradients of the discriminator's parameters.

Expected numbers: the plain step is a hand-written one, number for number
(tests/strategies/generative/test_gan_trainer.py); what it costs beside one: docs/generative.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from clcore.checks import whole_number
from clcore.errors import ArgumentError
from clcore.guard import guard
from clcore.selector import Selector
from strategies.generative.batch_sampler import CoresetBatchSampler
from strategies.generative.gan_losses import (
    GANLoss,
    Penalty,
    checked_loss,
    checked_penalty,
    discriminator_losses,
    generator_losses,
    interpolated_penalty,
    r1_penalty,
)
from strategies.generative.gan_scores import Scorer, require_fit
from strategies.generative.image_rows import Transform
from strategies.generative.importance import importance_latents
from strategies.generative.latents import Prior, draw_latents, select_latents
from strategies.generative.picking import batch_selector, pool_size
from strategies.generative.top_k import TopKSchedule, top_k_fakes
from strategies.generative.training_loop import (
    TrainingLoop,
    averaged_model,
    chunks,
    trained_parameters,
)

_TRIAL = 4
"""Rows of the pass by which networks are tried at the door."""


class GANTrainer(TrainingLoop):
    """Trains a generator and a discriminator in place; see `TrainingLoop` for clocks and counts.

    Args:
        generator: From latents `[b, *latent_size]` to images `[b, ...]`.
        discriminator: From images to one score each; higher means real.
        data: Images: a tensor `[n, ...]`, or a data set of `x` or `(x, y)`.
        generator_optimizer: Made over the generator's parameters.
        discriminator_optimizer: Made over the discriminator's parameters.
        batch_size: B.
        loss: `"hinge"`, `"non-saturating"` or `"wasserstein"`.
        latent_size: Numbers of a latent, or its shape.
        prior: `"uniform"` on [−1, 1] or the standard `"normal"`.
        latents: A selector's name or a selector: latents of each step are chosen out of
            `latent_factor` times as many; None to draw them.
        latent_factor: How many times as many.
        images: A `CoresetBatchSampler` that chooses the images of each batch; None for random ones.
        top_k: How many of the fakes the generator learns from, by pass over the data; None for all.
        importance: The generator's latents are drawn by importance out of `latent_factor` times as
            many, and weighted in its loss: True or `"jacobian"`, or `"gradient"` of the loss. Then
            `latents` chooses those of the discriminator's steps alone.
        gradient_penalty: Factor of the penalty: γ of R1, often 0.1 to 10, or λ, often 10; 0 for
            none.
        penalty: `"r1"` at real images or `"interpolated"` between them and fakes.
        discriminator_steps: Steps of the discriminator before each of the generator.
        head: Which output of the discriminator is the score, where it returns several.
        ema: Decay of an averaged generator, which `sample` then uses, such as 0.999; 0 for none.
        transform: Applied to each batch of images.
        seed: Of orders, latents and all else that is drawn.

    Raises:
        ArgumentError: An argument is wrong, or the networks don't fit the data, the latents or each
            other; the message says which.
        UnknownNameError: There is no selector of that name.

    Example:
        >>> generator, discriminator = nn.Linear(4, 2), nn.Linear(2, 1)
        >>> optimizers = [torch.optim.Adam(n.parameters()) for n in (generator, discriminator)]
        >>> data = torch.randn(100, 2)
        >>> trainer = GANTrainer(
        ...     generator, discriminator, data, *optimizers, batch_size=16, latent_size=4
        ... )
        >>> sorted(trainer.fit(3)), trainer.iteration, trainer.sample(5, seed=0).shape
        (['discriminator', 'generator'], 3, torch.Size([5, 2]))
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        data: Any,
        generator_optimizer: Optimizer,
        discriminator_optimizer: Optimizer,
        *,
        batch_size: int = 64,
        loss: GANLoss = "hinge",
        latent_size: int | Sequence[int] = 128,
        prior: Prior = "uniform",
        latents: str | Selector | None = None,
        latent_factor: float = 4,
        images: CoresetBatchSampler | None = None,
        top_k: TopKSchedule | None = None,
        importance: bool | Literal["jacobian", "gradient"] = False,
        gradient_penalty: float = 0.0,
        penalty: Penalty = "r1",
        discriminator_steps: int = 1,
        head: int | None = None,
        ema: float = 0.0,
        transform: Transform | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            {"generator": generator, "discriminator": discriminator},
            {
                "generator_optimizer": generator_optimizer,
                "discriminator_optimizer": discriminator_optimizer,
            },
            data,
            batch_size=batch_size,
            images=images,
            transform=transform,
            seed=seed,
        )
        self.generator, self.discriminator = generator, discriminator
        self._generator_optimizer = generator_optimizer
        self._discriminator_optimizer = discriminator_optimizer
        self._trained = trained_parameters("generator_optimizer", generator_optimizer, generator)
        trained_parameters("discriminator_optimizer", discriminator_optimizer, discriminator)
        self.loss, self.penalty = checked_loss(loss), checked_penalty(penalty)
        self.latent_size, self.prior = latent_size, prior
        self._selector = None if latents is None else batch_selector(latents)
        pool_size(self.batch_size, latent_factor)
        self.latent_factor = latent_factor
        self.top_k = _schedule(top_k, self.batch_size)
        self.importance = _measure(importance)
        self.gradient_penalty = _factor(gradient_penalty)
        self.discriminator_steps = whole_number("discriminator_steps", discriminator_steps, least=1)
        self.head = None if head is None else whole_number("head", head)
        few = self._draw(_TRIAL, torch.Generator().manual_seed(0))
        self._scorer = Scorer(discriminator, self.head)
        require_fit(generator, self._scorer, few, tuple(self.data.shape))
        self.average = averaged_model("generator", generator, ema)
        self.ema = float(ema)

    def sample(self, count: int, seed: int = 0, *, batch_size: int = 256) -> Tensor:
        """Make images with the generator, or its average where there is one.

        It runs in evaluation mode; BatchNorm, gradients and global random states stay as they are.

        Args:
            count: How many.
            seed: Of the latents, which are drawn plainly from the prior.
            batch_size: Images a pass.

        Returns:
            `[count, ...]`, on the generator's device.
        """
        count = whole_number("count", count, least=1)
        size = whole_number("batch_size", batch_size, least=1)
        randomness = torch.Generator().manual_seed(whole_number("seed", seed))
        network = self.generator if self.average is None else self.average.module
        with guard(network, seed=seed), torch.no_grad():
            network.eval()
            return torch.cat(
                [network(self._draw(part, randomness)) for part in chunks(count, size)]
            )

    def parts(self) -> dict[str, Any]:
        """Return what has a state of its own, by name; for `save`."""
        average = {} if self.average is None else {"averaged generator": self.average}
        return {**super().parts(), **average}

    def settings(self) -> dict[str, Any]:
        """Return what a resumed trainer must have in common with the saved one."""
        size = self.latent_size
        return {
            **super().settings(),
            "loss": self.loss,
            "latent_size": size if isinstance(size, int) else [int(number) for number in size],
            "prior": self.prior,
            "latents": None if self._selector is None else repr(self._selector),
            "latent_factor": self.latent_factor,
            "top_k": None if self.top_k is None else repr(self.top_k),
            "importance": self.importance,
            "gradient_penalty": self.gradient_penalty,
            "penalty": self.penalty,
            "discriminator_steps": self.discriminator_steps,
            "head": self.head,
            "ema": self.ema,
        }

    def _step(self) -> None:
        for _ in range(self.discriminator_steps):
            self._discriminator_step()
        self._generator_step()
        if self.average is not None:
            self.average.update_parameters(self.generator)

    def _discriminator_step(self) -> None:
        real = self.data.read(self._next_rows())
        latents = self._latents()
        with torch.no_grad():
            fake = self.generator(latents)
        r1 = self.gradient_penalty > 0 and self.penalty == "r1"
        if r1:
            real = real.detach().requires_grad_()
        scores = self._scorer(real)
        on_real, on_fake = discriminator_losses(self.loss, scores, self._scorer(fake))
        loss = on_real.mean() + on_fake.mean()
        self.last["discriminator"] = self._finite("discriminator", loss)
        passes = [2, 2]
        if self.gradient_penalty > 0:
            penalty = (
                r1_penalty(scores, real)
                if r1
                else interpolated_penalty(self._scorer, real, fake, self._draws)
            )
            penalty = self.gradient_penalty * penalty
            self.last["gradient_penalty"] = self._finite("gradient_penalty", penalty)
            loss = loss + penalty
            # The gradient at the images, and the way back through it and, between, a pass more.
            passes = [2, 4] if r1 else [3, 4]
        self._discriminator_optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._discriminator_optimizer.step()
        self.forward_rows += (1 + passes[0]) * self.batch_size
        self.backward_rows += passes[1] * self.batch_size

    def _generator_step(self) -> None:
        weights: Tensor | None = None
        if self.importance is None:
            latents = self._latents()
        else:
            latents, weights = self._important()
        scores = self._scorer(self.generator(latents))
        losses = generator_losses(self.loss, scores)
        losses = losses if weights is None else weights * losses
        if self.top_k is not None:
            # A loss that is no number is named as such, before its scores are ranked.
            self._finite("generator", losses.sum())
            k = self.top_k.k(self.epoch)
            losses = losses[top_k_fakes(scores, k, higher_is_better=True)]
        loss = losses.mean()
        self.last["generator"] = self._finite("generator", loss)
        self._generator_optimizer.zero_grad()
        loss.backward(inputs=self._trained)  # type: ignore[no-untyped-call]
        self._generator_optimizer.step()
        self.forward_rows += 2 * self.batch_size
        self.backward_rows += 2 * self.batch_size

    def _latents(self) -> Tensor:
        if self._selector is None:
            return self._draw(self.batch_size, self._draws)
        with self._watch.selecting():
            return select_latents(
                self.batch_size, self.latent_factor, size=self.latent_size, prior=self.prior,
                selector=self._selector, generator=self._draws, device=self.device,
            )  # fmt: skip

    def _important(self) -> tuple[Tensor, Tensor]:
        gradient = self.importance == "gradient"
        with self._watch.selecting(on_device=True):
            found = importance_latents(
                self.batch_size, self.generator, self.latent_factor, size=self.latent_size,
                prior=self.prior, measure="gradient" if gradient else "jacobian",
                discriminator=self._scorer if gradient else None,
                loss=lambda scores: generator_losses(self.loss, scores),
                randomness=self._draws, device=self.device,
            )  # fmt: skip
        rows = pool_size(self.batch_size, self.latent_factor) * (2 if gradient else 1)
        self.forward_rows += rows
        self.backward_rows += rows
        return found

    def _draw(self, count: int, randomness: torch.Generator) -> Tensor:
        size, prior = self.latent_size, self.prior
        return draw_latents(count, size, prior, None, randomness, torch.float32).to(self.device)


def _schedule(top_k: object, batch_size: int) -> TopKSchedule | None:
    if top_k is None:
        return None
    if not isinstance(top_k, TopKSchedule):
        raise ArgumentError(
            f"top_k must be a TopKSchedule such as TopKSchedule({batch_size}), or None, not "
            f"{top_k!r}"
        )
    if top_k.batch_size != batch_size:
        raise ArgumentError(
            f"top_k is of batches of {top_k.batch_size} where batch_size is {batch_size}"
        )
    return top_k


def _measure(importance: object) -> Literal["jacobian", "gradient"] | None:
    if importance is False:
        return None
    if importance is True or importance == "jacobian":
        return "jacobian"
    if importance == "gradient":
        return "gradient"
    raise ArgumentError(
        f"importance must be True, False, 'jacobian' or 'gradient', not {importance!r}"
    )


def _factor(gradient_penalty: object) -> float:
    if isinstance(gradient_penalty, bool) or not isinstance(gradient_penalty, int | float):
        raise ArgumentError(f"gradient_penalty must be a number, not {gradient_penalty!r}")
    if not 0 <= gradient_penalty < float("inf"):
        raise ArgumentError(f"gradient_penalty must be at least 0, not {gradient_penalty!r}")
    return float(gradient_penalty)
