"""Whether there are rows enough for a cell: for its batches, what they're chosen out of, and more.

What a method trains on is known without running it: all training rows, or a share of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.generative.data import row_counts
from benchmarks.generative.method import GenerativeMethod, find
from benchmarks.generative.plan import GenerativeCell
from benchmarks.generative.suite import GenerativeSuite
from clcore.errors import ArgumentError
from strategies.generative.cluster_pruning import kept_rows
from strategies.generative.picking import pool_size

LEAST = 2
"""The smallest batch of a suite."""


def check_cells(suite: GenerativeSuite, cells: Sequence[GenerativeCell]) -> None:
    """Refuse cells that want more rows than there are.

    Args:
        suite: The suite; its data are there.
        cells: Those that are planned, be they all of the suite or not.

    Raises:
        ArgumentError: One can't be run; names the setting, its value, and what is allowed.
        DataUnavailableError: The data set is not in the cache.
    """
    rows, tests = row_counts(suite)
    if suite.learner == "vae" and suite.likelihood_rows > tests:
        raise ArgumentError(
            f"likelihood_rows: got {suite.likelihood_rows}; there are {tests} test rows, so at "
            f"most {tests} is allowed"
        )
    for cell in cells:
        method = find(cell.method, suite)
        count = rows if method.subset is None else kept_rows(suite.keep, rows)
        check_method(suite, method, cell.batch_size, count)


def check_method(
    suite: GenerativeSuite, method: GenerativeMethod, batch_size: int, rows: int
) -> None:
    """Refuse a method that wants more rows than it has.

    Args:
        suite: The suite.
        method: The method.
        batch_size: Rows in a step.
        rows: Training rows that the method keeps.

    Raises:
        ArgumentError: A batch, the pool that it is chosen out of, or the exemplars are more.
    """
    has = f"{method.label} trains on {rows} rows"
    if rows < LEAST:
        raise ArgumentError(
            f"keep: got {suite.keep}; {has}, and at least {LEAST} are needed for a batch"
            if method.subset is not None
            else f"{'points' if suite.gaussian else 'train_rows'}: {has}, and at least {LEAST} are "
            "needed for a batch"
        )
    if batch_size > rows:
        raise ArgumentError(f"batch_sizes: got {batch_size}; {has}, so at most {rows} is allowed")
    if method.images is not None:
        _check_pool(suite, batch_size, rows, has)
    if method.pseudo_coreset and suite.pseudo_points > rows:
        raise ArgumentError(
            f"pseudo_points: got {suite.pseudo_points}; {has}, so at most {rows} is allowed"
        )


def _check_pool(suite: GenerativeSuite, batch_size: int, rows: int, has: str) -> None:
    factor = suite.image_factor
    pool = pool_size(batch_size, factor)
    if pool <= rows:
        return
    most = math.floor((rows + 0.5) / factor)
    while pool_size(most, factor) > rows:  # a half is rounded to the even number
        most -= 1
    allowed = f"an image_factor of at most {math.floor(100 * rows / batch_size) / 100:g}"
    if most >= LEAST:
        allowed = f"at most {most}, or {allowed},"
    raise ArgumentError(
        f"batch_sizes: got {batch_size}; each batch is chosen out of {factor:g} times as many rows "
        f"(image_factor), {pool}, and {has}, so {allowed} is allowed"
    )
