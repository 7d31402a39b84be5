"""A diffusion model as it is trained in a cell, and the reference model of `+reweighted`."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.generative.choosing import Chosen, together
from benchmarks.generative.data import GenerativeData
from benchmarks.generative.learner import Learner, Passes
from benchmarks.generative.method import GenerativeMethod
from benchmarks.generative.networks import build_unet
from benchmarks.generative.plan import GenerativeCell
from benchmarks.generative.shared import Made, once
from benchmarks.generative.suite import GenerativeSuite
from benchmarks.settings import derived_seed
from clcore.errors import FormatError
from strategies.generative import ClassWeights, DiffusionTrainer


class DiffusionLearner(Learner):
    """A diffusion model; see `make_learner` for the arguments."""

    trainer: DiffusionTrainer

    def __init__(
        self,
        suite: GenerativeSuite,
        cell: GenerativeCell,
        method: GenerativeMethod,
        data: GenerativeData,
        chosen: Chosen,
        shared: Path,
    ) -> None:
        self.suite, self.cell, self.method = suite, cell, method
        self.prepared = chosen.cost
        options: dict[str, Any] = {}
        if method.reweighted:
            reference, cost = reference_model(suite, cell, data, shared)
            self.prepared = together(self.prepared, cost)
            labels = data.y if chosen.rows is None else data.y[chosen.rows]
            options = {"reference": reference, "class_weights": ClassWeights(labels)}
        self.trainer = make_trainer(suite, cell, data, chosen, **options)

    def sample(self, count: int, seed: int) -> Tensor:
        """Images by DDIM."""
        return self.trainer.sample(count, seed, steps=self.suite.sample_steps)

    def chosen_rows(self) -> Passes:
        """The reference model looks at every row of a batch."""
        if not self.method.reweighted:
            return super().chosen_rows()
        return {"forward": self.trainer.iteration * self.cell.batch_size, "backward": 0}


def make_trainer(
    suite: GenerativeSuite,
    cell: GenerativeCell,
    data: GenerativeData,
    chosen: Chosen,
    purpose: str = "networks",
    **options: Any,
) -> DiffusionTrainer:
    """Make a trainer with a freshly initialised network.

    Args:
        suite: The suite.
        cell: The cell.
        data: Training rows.
        chosen: Which of them, and how batches are chosen.
        purpose: Of the seed.
        **options: Further arguments of the trainer.
    """
    model = build_unet(suite, data.shape, derived_seed(cell.seed, purpose)).to(suite.device)
    diffusers: Any = importlib.import_module("diffusers")
    return DiffusionTrainer(
        model,
        diffusers.DDPMScheduler(num_train_timesteps=suite.timesteps),
        data.subset(chosen.rows),
        torch.optim.Adam(model.parameters(), suite.learning_rate, suite.betas),
        batch_size=cell.batch_size,
        images=chosen.sampler,
        ema=suite.ema,
        transform=data.transform,
        seed=derived_seed(cell.seed, "orders" if purpose == "networks" else f"{purpose} orders"),
        **options,
    )


def reference_model(
    suite: GenerativeSuite, cell: GenerativeCell, data: GenerativeData, shared: Path
) -> tuple[nn.Module, Made]:
    """Train a model on all rows, or read the one that another cell has trained.

    Args:
        suite: The suite.
        cell: Whose batch size and seed.
        data: Training rows.
        shared: Where it is kept, with a checkpoint while it is trained.

    Returns:
        The model, frozen, and what it took.

    Raises:
        FormatError: What is kept is damaged.
    """
    name = f"reference-b{cell.batch_size}-s{cell.seed}"
    file = shared / f"{name}.safetensors"
    made = once(file, lambda: _trained(suite, cell, data, shared / f"{name}.checkpoint"))
    model = build_unet(suite, data.shape, derived_seed(cell.seed, "reference"))
    try:
        model.load_state_dict(made.tensors)
    except RuntimeError as error:
        raise FormatError(f"{file} is damaged; delete it to make it again: {error}") from error
    return model.to(suite.device).eval().requires_grad_(False), made


def _trained(
    suite: GenerativeSuite, cell: GenerativeCell, data: GenerativeData, checkpoint: Path
) -> Made:
    trainer = make_trainer(suite, cell, data, Chosen(None, None, Made()), "reference")
    if checkpoint.is_file():
        try:
            trainer.load(checkpoint)
        except FormatError as error:
            raise FormatError(f"{error}; delete {checkpoint} to train it again") from error
    steps = suite.reference_steps or suite.steps
    while trainer.iteration < steps:
        trainer.fit(min(suite.evaluate_every, steps - trainer.iteration))
        trainer.save(checkpoint)
    model = trainer.model if trainer.average is None else trainer.average.module
    tensors = {key: value.detach().cpu() for key, value in model.state_dict().items()}
    checkpoint.unlink(missing_ok=True)
    return Made(
        tensors,
        trainer.seconds,
        trainer.cpu_seconds,
        forward=trainer.forward_rows,
        backward=trainer.backward_rows,
    )
