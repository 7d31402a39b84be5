"""Batches of digits: how near to all data, how even in classes, and what choosing them takes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from torch import Tensor

from benchmarks.settings import derived_seed
from benchmarks.speed.batches.candidates import (
    Candidate,
    check_sizes,
    choose,
    fixed,
    times_median,
)
from benchmarks.speed.batches.settings import GenerativeSettings
from benchmarks.speed.figures import Column, Table, digits, spread_text
from benchmarks.speed.repeats import MeanError, Spread
from clcore.errors import ArgumentError
from strategies.generative import frechet_distance
from strategies.generative.batch_statistics import Moments, count_dispersion

COMPONENTS = 16
HERDING = "`kernel-herding`"
CANDIDATES: dict[str, Candidate] = {
    "`random`": fixed("random"),
    "`k-center`": fixed("k-center"),
    "`k-means-plus-plus`": fixed("k-means-plus-plus"),
    "`facility-location`": fixed("facility-location"),
    '`facility-location`, `metric="squared"`': fixed("facility-location", metric="squared"),
    "`k-medoids`": fixed("k-medoids"),
    "`k-means`": fixed("k-means"),
    "`max-herding`": fixed("max-herding"),
    HERDING: fixed("kernel-herding"),
    "`kernel-herding`, half the bandwidth": times_median(0.5),
    "`kernel-herding`, twice the bandwidth": times_median(2.0),
    "`dpp`": fixed("dpp"),
    "`herding`, not normalised": fixed("herding", normalise=False),
}


def digit_batches(settings: GenerativeSettings) -> Iterator[Table]:
    """Choose batches by each selector from the same pools, in turn.

    Yields:
        One table.

    Raises:
        ArgumentError: The pool is not larger than the batch, or larger than the data.
    """
    check_sizes(settings.batch_size, settings.pool_size)
    vectors, labels = _vectors()
    if settings.pool_size > len(vectors):
        raise ArgumentError(
            f"pool_size: must be at most {len(vectors)}, the digits that there are, not "
            f"{settings.pool_size}"
        )
    whole = Moments.of(vectors)
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in CANDIDATES}
    for candidate in CANDIDATES.values():  # loops are compiled
        choose(candidate, vectors[: settings.pool_size], settings.batch_size, 0)
    for draw in range(settings.digit_draws):
        seed = derived_seed(settings.seed, f"digits {draw}")
        order = torch.randperm(len(vectors), generator=torch.Generator().manual_seed(seed))
        rows = order[: settings.pool_size]
        pool = vectors[rows]
        for name, candidate in CANDIDATES.items():
            picks, seconds = choose(candidate, pool, settings.batch_size, seed)
            counts = torch.bincount(labels[rows[picks]], minlength=10)
            far = frechet_distance(pool[picks], whole)
            found[name].append((far, count_dispersion(counts), 1e3 * seconds))
    lines = []
    for name, each in found.items():
        distances, dispersion, milliseconds = zip(*each, strict=True)
        lines.append(
            {
                "selector": name,
                "distance": MeanError.of(distances),
                "dispersion": MeanError.of(dispersion),
                "milliseconds": Spread.of(milliseconds),
            }
        )
    herding = MeanError.of(far for far, _, _ in found[HERDING]).mean
    size = random_size(vectors, whole, herding, settings)
    yield Table(
        "digits",
        f"{settings.batch_size} of {settings.pool_size} digits in {COMPONENTS} principal "
        f"components, {settings.digit_draws} draws: mean ± s.e., and median CPU ms (quartiles)",
        (
            Column("selector", "selector"),
            Column("distance", "Fréchet distance to the data", digits(3)),
            Column("dispersion", "dispersion of class counts", digits(2)),
            Column("milliseconds", "CPU ms", _milliseconds),
        ),
        lines,
        (f"A random batch as near to the data as that of {HERDING} has about {size} rows.",),
    )


def random_size(
    vectors: Tensor, whole: Moments, distance: float, settings: GenerativeSettings
) -> int:
    """Find how large random batches have to be for a mean Fréchet distance to all data.

    Args:
        vectors: The data, `[n, d]`.
        whole: Their moments.
        distance: What is to be reached.
        settings: How many draws the mean is of, and their seed.

    Returns:
        The smallest size that reaches it, by bisection; n where none smaller does.
    """
    low, high = 2, len(vectors)
    while low < high:
        middle = (low + high) // 2
        total = 0.0
        for draw in range(settings.digit_draws):
            # The same orders for all sizes, so that the mean falls with the size.
            seed = derived_seed(settings.seed, f"random batch {draw}")
            order = torch.randperm(len(vectors), generator=torch.Generator().manual_seed(seed))
            total += frechet_distance(vectors[order[:middle]], whole)
        if total / settings.digit_draws <= distance:
            high = middle
        else:
            low = middle + 1
    return low


def _vectors() -> tuple[Tensor, Tensor]:
    """The digits in principal components, float32 `[1797, 16]`, and their labels."""
    bunch = load_digits()
    components = PCA(COMPONENTS, svd_solver="full").fit_transform(bunch.data / 16)
    return torch.from_numpy(components).float(), torch.from_numpy(bunch.target).long()


def _milliseconds(value: Spread) -> str:
    return spread_text(value, lambda number: f"{number:.2g}")
