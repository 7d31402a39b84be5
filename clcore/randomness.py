"""Draws from the generator that a selector was handed, and from nothing else."""

from __future__ import annotations

import torch
from torch import Tensor


def permutation(rows: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """Draw a uniform permutation.

    Args:
        rows: Its length.
        generator: Drawn from on its own device, so one seed gives one answer wherever the pool is.
        device: Where the answer shall lie.

    Returns:
        int64 tensor `[rows]`.
    """
    return torch.randperm(rows, generator=generator, device=generator.device).to(device)


def uniform(generator: torch.Generator) -> float:
    """Draw one number, uniform in [0, 1), in double precision."""
    drawn = torch.rand((), generator=generator, dtype=torch.float64, device=generator.device)
    return float(drawn)


def seed_from(generator: torch.Generator) -> int:
    """Draw a seed for a library that wants one: an integer in [0, 2³¹)."""
    drawn = torch.randint(2**31, (), generator=generator, device=generator.device)
    return int(drawn)


def categorical(mass: Tensor, generator: torch.Generator) -> int:
    """Draw a row with probability proportional to its mass, by inversion in double precision.

    Args:
        mass: `[n]`, none negative, not all zero. A row without mass is never drawn.
        generator: What to draw from.

    Returns:
        The row drawn.
    """
    cumulated = mass.to(torch.float64).cumsum(0)
    threshold = uniform(generator) * cumulated[-1]
    row = int(torch.searchsorted(cumulated, threshold, right=True))
    if row < len(mass):
        return row
    # The product was rounded up to the total: the last row that has any mass.
    return int(torch.nonzero(mass > 0)[-1])
