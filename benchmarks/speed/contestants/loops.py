"""The loops that anyone would write, in torch and in numpy."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.speed.side_by_side.problem import Answer, Problem


def start(features: NDArray[np.float32]) -> int:
    """Find the row nearest to the mean, where all farthest-first contestants begin.

    Args:
        features: `[n, d]`.

    Returns:
        The row.
    """
    offset = features - features.mean(axis=0, dtype=np.float64).astype(features.dtype)
    return int(np.einsum("nd,nd->n", offset, offset).argmin())


def k_center_torch(problem: Problem) -> Answer:
    """Farthest-first: one matrix-vector product a pick."""
    x = torch.from_numpy(problem.features)
    squares = x.square().sum(dim=1)
    row = start(problem.features)
    picks = [row]
    closest = torch.full_like(squares, torch.inf)
    while len(picks) < problem.k:
        distance = torch.addmv(squares + squares[row], x, x[row], alpha=-2)
        torch.minimum(closest, distance, out=closest)
        row = int(closest.argmax())
        picks.append(row)
    return Answer.of(picks)


def k_center_numpy(problem: Problem) -> Answer:
    """Farthest-first: differences to the last pick, squared and added up."""
    x = problem.features
    row = start(x)
    picks = [row]
    closest = np.full(len(x), np.inf, dtype=np.float32)
    while len(picks) < problem.k:
        np.minimum(closest, ((x - x[row]) ** 2).sum(axis=1), out=closest)
        row = int(closest.argmax())
        picks.append(row)
    return Answer.of(picks)


def herding_torch(problem: Problem) -> Answer:
    """Herding by its inner products: one matrix-vector product a pick."""
    x = torch.from_numpy(problem.features)
    half = x.square().sum(dim=1) / 2
    mean = x.mean(dim=0)
    lag: Tensor = torch.zeros_like(mean)
    picks: list[int] = []
    for _ in range(problem.k):
        lag = lag + mean
        row = int((x @ lag - half).argmax())
        half[row] = torch.inf
        lag = lag - x[row]
        picks.append(row)
    return Answer.of(picks)


def herding_numpy(problem: Problem) -> Answer:
    """Herding as its formula is written: the distance of every possible next mean."""
    x = problem.features
    mean = x.mean(axis=0)
    total = np.zeros_like(mean)
    taken = np.zeros(len(x), dtype=bool)
    picks: list[int] = []
    for step in range(1, problem.k + 1):
        distance = np.linalg.norm(mean - (x + total) / np.float32(step), axis=1)
        distance[taken] = np.inf
        row = int(distance.argmin())
        taken[row] = True
        total += x[row]
        picks.append(row)
    return Answer.of(picks)
