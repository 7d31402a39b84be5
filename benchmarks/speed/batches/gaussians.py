"""Batches out of 25 Gaussians on a grid: modes covered, evenness, and how far out samples lie."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from benchmarks.settings import derived_seed
from benchmarks.speed.batches.candidates import Candidate, check_sizes, choose, fixed
from benchmarks.speed.batches.settings import GenerativeSettings
from benchmarks.speed.figures import Column, Table, digits
from benchmarks.speed.repeats import MeanError
from strategies.generative import mode_counts

SIGMA, SPACING, SIDE = 0.05, 2.0, 5
RADIUS = 4 * SIGMA
"""Up to which distance from its mode a sample counts as good."""

CANDIDATES: dict[str, Candidate] = {
    "`random`": fixed("random"),
    "`k-center`": fixed("k-center"),
    "`k-means-plus-plus`": fixed("k-means-plus-plus"),
    "`facility-location`": fixed("facility-location"),
    '`facility-location`, `metric="squared"`': fixed("facility-location", metric="squared"),
    "`k-means`": fixed("k-means"),
    "`kernel-herding`": fixed("kernel-herding"),
    "`kernel-herding`, `bandwidth=0.1` (2 σ)": fixed(  # noqa: RUF001
        "kernel-herding", bandwidth=2 * SIGMA
    ),
    "`max-herding`": fixed("max-herding"),
    "`dpp`": fixed("dpp"),
}


def gaussians(settings: GenerativeSettings) -> Iterator[Table]:
    """Choose batches by each selector from the same pools.

    Yields:
        One table.

    Raises:
        ArgumentError: The pool is not larger than the batch.
    """
    check_sizes(settings.batch_size, settings.pool_size)
    steps = SPACING * (torch.arange(SIDE) - SIDE // 2)
    modes = torch.cartesian_prod(steps, steps)
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in CANDIDATES}
    for draw in range(settings.gaussian_draws):
        seed = derived_seed(settings.seed, f"gaussians {draw}")
        pool = _pool(modes, settings.pool_size, seed)
        for name, candidate in CANDIDATES.items():
            picks, _ = choose(candidate, pool, settings.batch_size, seed)
            counts = mode_counts(pool[picks], modes, RADIUS)
            found[name].append(
                (float(counts.covered), counts.dispersion, counts.mean_distance / SIGMA)
            )
    columns = ("covered", "dispersion", "distance")
    rows = [
        {"selector": name, **dict(zip(columns, map(MeanError.of, zip(*each, strict=True)),
                                      strict=True))}
        for name, each in found.items()
    ]  # fmt: skip
    yield Table(
        "gaussians",
        f"{settings.batch_size} of {settings.pool_size} samples of {len(modes)} Gaussians on a "
        f"grid, σ = {SIGMA}, {settings.gaussian_draws} draws (mean ± s.e.)",  # noqa: RUF001
        (
            Column("selector", "selector"),
            Column("covered", f"modes covered of {len(modes)}", digits(1)),
            Column("dispersion", "dispersion of counts", digits(2)),
            # A sample's distance from its mode is σ times a Rayleigh variable.
            Column(
                "distance",
                f"mean distance / σ (data: {math.sqrt(math.pi / 2):.3f})",  # noqa: RUF001
                digits(2),
            ),
        ),
        rows,
    )


def _pool(modes: Tensor, size: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    places = torch.randint(len(modes), (size,), generator=generator)
    return modes[places] + SIGMA * torch.randn(size, 2, generator=generator)
