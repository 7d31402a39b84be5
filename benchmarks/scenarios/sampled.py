"""Sampled: the same scenario with fewer training images in each experience."""

from __future__ import annotations

import torch

from benchmarks.scenarios._base import Scenario, with_train
from benchmarks.scenarios._checks import generator_of, random_part, uncut
from clcore.checks import whole_number


def sampled(scenario: Scenario, samples: int, *, seed: int = 0) -> Scenario:
    """Keep a random part of each experience's training images; tests stay whole.

    Args:
        scenario: Any scenario that is not cut into batches.
        samples: Training images kept in each experience; one with fewer keeps all that it has.
        seed: Seed of the draw.

    Returns:
        The smaller scenario.

    Raises:
        ArgumentError: If `samples` is not a whole number of at least 1.
    """
    uncut(scenario, "sampled")
    size = whole_number("samples", samples, least=1)
    generator = generator_of(seed)
    train = [
        old.train.take(random_part(torch.arange(len(old.train)), size, generator))
        for old in scenario
    ]
    return with_train(scenario, f"{scenario.name}, {size} samples each", train)
