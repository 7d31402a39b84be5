"""Train a diffusion model with chosen batches and weighted classes.

Source: Ho, Jain & Abbeel, "Denoising diffusion probabilistic models", NeurIPS 2020, algorithm 1
with the simple loss (equation 14); samples by Song, Meng & Ermon, "Denoising diffusion implicit
models", ICLR 2021, with η = 0. Schedules of noise and the sampler are diffusers'. Weights of
classes against a reference model: Li et al., "Pruning then reweighting", ICASSP 2025
(`class_weights.py`).

Formula: with x_t = √ᾱ_t x + √(1 − ᾱ_t) ε, t uniform, the loss of a row is the mean over its numbers
of (ε − ε_θ(x_t, t))²; with `prediction_type` `"sample"` or `"v_prediction"` the target is x or v. A
step descends the mean of weight × loss.

Defaults: 1,000 steps of noise (`DDPMScheduler()`), 50 of sampling; no average of the parameters.

Differences from reference codes: an average of the parameters begins with the first step and has
one decay, where diffusers' `EMAModel` may warm up. Class weights move in the step whose losses they
are made of, as in DoReMi.

Expected numbers: the plain step is a hand-written one, number for number
(tests/strategies/generative/test_diffusion_trainer.py).
"""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from clcore.checks import whole_number
from clcore.errors import ArgumentError
from clcore.guard import guard
from strategies.generative.batch_sampler import CoresetBatchSampler
from strategies.generative.class_weights import ClassWeights
from strategies.generative.image_rows import Transform
from strategies.generative.training_loop import (
    TrainingLoop,
    averaged_model,
    chunks,
    trained_parameters,
)

_LOOK = 64
"""Rows whose range is looked at where the scheduler clips."""


class DiffusionTrainer(TrainingLoop):
    """Trains a denoising model in place; see `TrainingLoop` for clocks and counts.

    Args:
        model: `model(x_t, t)` from images `[b, ...]` and steps int64 `[b]` to a tensor of the
            images' shape or to an output with it as `.sample`, such as diffusers' `UNet2DModel`.
        scheduler: diffusers' `DDPMScheduler` or another with `add_noise` and a config that
            `DDIMScheduler` reads; None for `DDPMScheduler()`.
        data: Images, from −1 to 1 where the scheduler clips: a tensor `[n, ...]`, or a data set of
            `x` or `(x, y)`.
        optimizer: Made over the model's parameters.
        batch_size: Images a step.
        images: A `CoresetBatchSampler` that chooses the images of each batch; None for random ones.
        class_weights: How much classes count; the data must have labels.
        reference: A trained model like `model`: the weights are moved in each step by what its
            losses of the same rows, noise and steps are exceeded by. Without it they stay what they
            are on average (`ClassWeights.average`).
        ema: Decay of an averaged model, which `sample` then uses, such as 0.999; 0 for none.
        transform: Applied to each batch of images.
        seed: Of orders, noise, steps and all else that is drawn.

    Attributes:
        scheduler: The scheduler.

    Raises:
        ArgumentError: An argument is wrong, or model, scheduler and data don't fit each other.
        ModuleNotFoundError: There is no scheduler and diffusers is not installed.
    """

    def __init__(
        self,
        model: nn.Module,
        scheduler: Any,
        data: Any,
        optimizer: Optimizer,
        *,
        batch_size: int = 64,
        images: CoresetBatchSampler | None = None,
        class_weights: ClassWeights | None = None,
        reference: nn.Module | None = None,
        ema: float = 0.0,
        transform: Transform | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            {"model": model}, {"optimizer": optimizer}, data,
            batch_size=batch_size, images=images, transform=transform, seed=seed,
        )  # fmt: skip
        trained_parameters("optimizer", optimizer, model)
        self.model, self._optimizer = model, optimizer
        self.scheduler = _diffusers().DDPMScheduler() if scheduler is None else scheduler
        self._times, self._target = _schedule_of(self.scheduler)
        self.class_weights, self.reference = class_weights, reference
        self._require_weights()
        self._try_model(model, "model")
        if reference is not None:
            self._try_model(reference, "reference")
        self.average = averaged_model("model", model, ema)
        self.ema = float(ema)

    def sample(self, count: int, seed: int = 0, *, steps: int = 50, batch_size: int = 64) -> Tensor:
        """Make images by DDIM, with the model or its average where there is one.

        It runs in evaluation mode; BatchNorm, gradients and global random states stay as they are.

        Args:
            count: How many.
            seed: Of the noise that they are made from, in which DDIM is deterministic.
            steps: Passes of the model for each image.
            batch_size: Images a pass.

        Returns:
            `[count, ...]`, on the model's device.

        Raises:
            ModuleNotFoundError: diffusers is not installed.
        """
        count = whole_number("count", count, least=1)
        size = whole_number("batch_size", batch_size, least=1)
        number = whole_number("steps", steps, least=1)
        if number > self._times:
            raise ArgumentError(
                f"steps must be at most {self._times}, those of the scheduler, not {steps}"
            )
        randomness = torch.Generator().manual_seed(whole_number("seed", seed))
        sampler = _diffusers().DDIMScheduler.from_config(self.scheduler.config)
        sampler.set_timesteps(number)
        network = self.model if self.average is None else self.average.module
        made = []
        with guard(network, seed=seed), torch.no_grad():
            network.eval()
            for part in chunks(count, size):
                x = torch.randn(part, *self.data.shape, generator=randomness).to(self.device)
                for t in sampler.timesteps:
                    times = torch.full((part,), int(t), device=self.device)
                    x = sampler.step(_predicted(network(x, times)), t, x).prev_sample
                made.append(x)
        return torch.cat(made)

    def parts(self) -> dict[str, Any]:
        """Return what has a state of its own, by name; for `save`."""
        average = {} if self.average is None else {"averaged model": self.average}
        weights = {} if self.class_weights is None else {"class weights": self.class_weights}
        return {**super().parts(), **average, **weights}

    def settings(self) -> dict[str, Any]:
        """Return what a resumed trainer must have in common with the saved one."""
        weights, config = self.class_weights, dict(self.scheduler.config)
        return {
            **super().settings(),
            "scheduler": repr(sorted((k, v) for k, v in config.items() if not k.startswith("_"))),
            "class_weights": None if weights is None else [weights.step_size, weights.smoothing],
            "reference": self.reference is not None,
            "ema": self.ema,
        }

    def _step(self) -> None:
        rows, labels = self._next_rows(), None
        if self.class_weights is None:
            x = self.data.read(rows)
        else:
            x, labels = self.data.read_labelled(rows)
        noise = torch.randn(x.shape, generator=self._draws, dtype=x.dtype).to(x.device)
        times = torch.randint(self._times, (len(x),), generator=self._draws).to(x.device)
        noisy = self.scheduler.add_noise(x, noise, times)
        target = self._target_of(x, noise, times)
        losses = _losses(self.model(noisy, times), target)
        if self.class_weights is not None and labels is not None:
            with self._watch.selecting(on_device=True):
                weights = self._weights(self.class_weights, losses, labels, noisy, times, target)
            losses = weights * losses
        loss = losses.mean()
        self.last["loss"] = self._finite("loss", loss)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self.forward_rows += self.batch_size
        self.backward_rows += self.batch_size
        if self.average is not None:
            self.average.update_parameters(self.model)

    def _weights(
        self,
        class_weights: ClassWeights,
        losses: Tensor,
        labels: Tensor,
        noisy: Tensor,
        times: Tensor,
        target: Tensor,
    ) -> Tensor:
        """Move the weights of the classes, and return those of the rows: `[b]`."""
        if self.reference is None:
            return class_weights.rows(labels, class_weights.average()).to(losses)
        # A loss that is no number is named as such, before it moves the weights.
        self._finite("loss", losses.sum())
        with guard(self.reference, torch_alone=True), torch.no_grad():
            self.reference.eval()
            expected = _losses(self.reference(noisy, times), target)
        self.forward_rows += self.batch_size
        class_weights.update(losses, expected, labels)
        return class_weights.rows(labels).to(losses)

    def _target_of(self, x: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        if self._target == "epsilon":
            return noise
        if self._target == "sample":
            return x
        velocity: Tensor = self.scheduler.get_velocity(x, noise, times)
        return velocity

    def _require_weights(self) -> None:
        weights, reference = self.class_weights, self.reference
        if weights is not None and not isinstance(weights, ClassWeights):
            raise ArgumentError(
                f"class_weights must be a ClassWeights or None, not {type(weights).__name__}"
            )
        if weights is not None and not self.data.labelled:
            raise ArgumentError("class_weights: data must be of (x, y), with a label for each row")
        if reference is None:
            return
        if weights is None:
            raise ArgumentError("reference moves the weights of classes: give class_weights= too")
        if not isinstance(reference, nn.Module) or reference is self.model:
            raise ArgumentError("reference must be a torch.nn.Module, and another than model")

    def _try_model(self, model: nn.Module, name: str) -> None:
        """Run a model once, so that what doesn't fit is said at the door."""
        with guard(model, seed=0), torch.no_grad():
            model.eval()
            x = self.data.read(torch.arange(min(_LOOK, len(self.data))))
            furthest, config = float(x.abs().max()), self.scheduler.config
            limit = float(config.get("clip_sample_range", 1.0))
            if config.get("clip_sample", False) and furthest > 1.001 * limit:
                raise ArgumentError(
                    f"data go to {furthest:.3g}, and the scheduler clips what it samples to "
                    f"{limit:g}: scale them to -1 to 1, or make it with clip_sample=False"
                )
            x, times = x[:2], torch.zeros(len(x[:2]), dtype=torch.int64, device=self.device)
            try:
                found = _predicted(model(x, times))
            except (RuntimeError, ValueError, TypeError, IndexError) as error:
                raise ArgumentError(
                    f"{name} doesn't take images of shape {tuple(self.data.shape)} and steps [b]: "
                    f"{error}"
                ) from error
        if found.shape != x.shape:
            raise ArgumentError(
                f"{name} must return {tuple(x.shape)}, the shape of its images, not "
                f"{tuple(found.shape)}"
            )


def _losses(output: object, target: Tensor) -> Tensor:
    """Return the mean squared error of each row: `[b]`."""
    return (_predicted(output) - target).square().reshape(len(target), -1).mean(dim=1)


def _predicted(output: object) -> Tensor:
    found = output if isinstance(output, Tensor) else getattr(output, "sample", None)
    if not isinstance(found, Tensor):
        raise ArgumentError(
            f"model must return a tensor or an output with .sample, not {type(output).__name__}"
        )
    return found


def _schedule_of(scheduler: Any) -> tuple[int, str]:
    """Return the number of steps of noise and what the model predicts."""
    config = getattr(scheduler, "config", None)
    times = getattr(config, "num_train_timesteps", None)
    if not callable(getattr(scheduler, "add_noise", None)) or times is None:
        raise ArgumentError(
            "scheduler must be one of diffusers' with add_noise and num_train_timesteps, such as "
            f"DDPMScheduler(), not {type(scheduler).__name__}"
        )
    target = str(getattr(config, "prediction_type", "epsilon"))
    if target not in ("epsilon", "sample", "v_prediction"):
        raise ArgumentError(
            "scheduler must have prediction_type 'epsilon', 'sample' or 'v_prediction', not "
            f"{target!r}"
        )
    return int(times), target


def _diffusers() -> Any:
    try:
        return importlib.import_module("diffusers")
    except ModuleNotFoundError as error:
        if error.name != "diffusers":
            raise
        raise ModuleNotFoundError(
            "schedules of noise are those of diffusers: pip install 'diffusers>=0.30' (the extra "
            "'diffusion')",
            name="diffusers",
        ) from error
