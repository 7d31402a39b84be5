"""What a cell asks of what it trains: a trainer of `strategies.generative` with what was chosen."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from torch import Tensor

from benchmarks.generative.choosing import Chosen
from benchmarks.generative.data import GenerativeData
from benchmarks.generative.method import GenerativeMethod
from benchmarks.generative.plan import GenerativeCell
from benchmarks.generative.shared import Made
from benchmarks.generative.suite import GenerativeSuite
from strategies.generative.training_loop import TrainingLoop

Passes = dict[str, int]
"""`forward` and `backward`, in rows."""


class Learner(ABC):
    """A trainer, and what a cell asks of it.

    Attributes:
        trainer: Takes the steps.
        prepared: What was spent before the first step.
    """

    trainer: TrainingLoop
    prepared: Made

    @abstractmethod
    def sample(self, count: int, seed: int) -> Tensor:
        """Make samples `[count, ...]`."""

    def measure(self) -> dict[str, float]:
        """What is measured beside the samples; nothing by default."""
        return {}

    def passes(self) -> tuple[Passes, Passes]:
        """Rows that training sent through networks, and those that its selections did."""
        trainer, chosen = self.trainer, self.chosen_rows()
        passes = {
            "forward": trainer.forward_rows - chosen["forward"],
            "backward": trainer.backward_rows - chosen["backward"],
        }
        return passes, chosen

    def chosen_rows(self) -> Passes:
        """Rows that selections in the course of training sent through networks."""
        return {"forward": 0, "backward": 0}


def make_learner(
    suite: GenerativeSuite,
    cell: GenerativeCell,
    method: GenerativeMethod,
    data: GenerativeData,
    chosen: Chosen,
    shared: Path,
) -> Learner:
    """Make what a cell trains.

    Args:
        suite: The suite.
        cell: The cell.
        method: Its method.
        data: Training rows.
        chosen: What was chosen before training.
        shared: Where a reference model is kept, for all cells of a run.
    """
    if suite.learner == "gan":
        from benchmarks.generative.gan import GANLearner

        return GANLearner(suite, cell, method, data, chosen)
    if suite.learner == "vae":
        from benchmarks.generative.vae import VAELearner

        return VAELearner(suite, cell, method, data, chosen)
    from benchmarks.generative.diffusion import DiffusionLearner

    return DiffusionLearner(suite, cell, method, data, chosen, shared)
