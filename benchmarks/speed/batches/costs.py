"""What one selection of a batch costs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch

from benchmarks.settings import derived_seed
from benchmarks.speed.batches.candidates import Candidate, check_sizes, choose, fixed
from benchmarks.speed.batches.settings import GenerativeSettings
from benchmarks.speed.figures import Column, Table, seconds, times
from benchmarks.speed.repeats import paired

COLUMNS = 64
FIRST = "`k-center`"
CANDIDATES: dict[str, Candidate] = {
    FIRST: fixed("k-center"),
    "`kernel-herding`": fixed("kernel-herding"),
    "`kernel-herding`, a bandwidth of your own": fixed("kernel-herding", bandwidth=8.0),
    '`facility-location`, `metric="squared"`': fixed("facility-location", metric="squared"),
}


def costs(settings: GenerativeSettings) -> Iterator[Table]:
    """Time selections of one batch and of one twice as large, in turn.

    Yields:
        One table.

    Raises:
        ArgumentError: The pool is not larger than the larger batch.
    """
    check_sizes(2 * settings.batch_size, settings.pool_size)
    generator = torch.Generator().manual_seed(derived_seed(settings.seed, "costs"))
    pool = torch.randn(settings.pool_size, COLUMNS, generator=generator)
    rows = []
    for count in (settings.batch_size, 2 * settings.batch_size):
        timings = paired(
            {
                name: partial(choose, candidate, pool, count, 0)
                for name, candidate in CANDIDATES.items()
            },
            rounds=settings.rounds,
        )
        rows += [
            {
                "batch": f"{count} of {settings.pool_size}",
                "selector": name,
                "seconds": timings.spread(name),
                "ratio": timings.ratio(name, FIRST),
            }
            for name in CANDIDATES
        ]
    yield Table(
        "costs",
        f"One selection from {settings.pool_size} vectors of {COLUMNS} numbers, one core: median "
        f"(quartiles) of {settings.rounds}",
        (
            Column("batch", "batch"),
            Column("selector", "selector"),
            Column("seconds", "CPU time", seconds),
            Column("ratio", "times k-center", times),
        ),
        rows,
    )
