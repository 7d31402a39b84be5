"""Selectors on a large table: seconds, certificate, and how far the weighted sums really are off.

A share of Covertype's rows is chosen by its standardised features, each class by itself. The errors
are ‖Σ g − Σ γ g‖ with the g of the features, which the selectors see, and with those of a logistic
regression of random coefficients, which none has seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.running.data import load_table
from benchmarks.settings import derived_seed
from benchmarks.speed.coreset.settings import CoresetTrainingSettings
from benchmarks.speed.figures import Column, Table, digits, seconds, times
from benchmarks.speed.repeats import Spread, paired
from clcore import Pool
from clcore.coreset import Coreset
from clcore.distributed.greedy import nearest
from clcore.errors import ArgumentError
from clcore.selector import Selector
from clcore.selectors import registry

DATASET = "covtype"
FIRST = "kd-tree"
SELECTORS: dict[str, Selector] = {
    FIRST: registry.create("kd-tree", gradients="features"),
    "kd-tree, carry=False": registry.create("kd-tree", gradients="features", carry=False),
    "craig": registry.create("craig", gradients="features"),
}
_SMALL = 2_000
"""Rows that each selector is run on once before it is timed, so that its loops are compiled."""


def selectors(settings: CoresetTrainingSettings) -> Iterator[Table]:
    """Choose by each selector in turn, several times, and measure what it chose.

    Yields:
        One table.

    Raises:
        DataUnavailableError: Covertype is not in the cache.
        ArgumentError: There are not so many rows, or the share leaves none.
    """
    rows = covertype_rows(settings.table_rows, settings.seed)
    count = len(rows.labels)
    picks = chosen_count(settings.share, count)
    small = Pool(features=rows.x[:_SMALL], labels=rows.labels[:_SMALL])
    found: dict[str, Coreset] = {}

    def choose(name: str, selector: Selector) -> None:
        # A pool of its own, so that nothing which a pool remembers serves the next.
        pool = Pool(features=rows.x, labels=rows.labels)
        found[name] = selector.select(pool, picks, generator=torch.Generator().manual_seed(0))

    for selector in SELECTORS.values():
        selector.select(small, min(picks, len(small) // 10))
    timings = paired(
        {name: partial(choose, name, selector) for name, selector in SELECTORS.items()},
        rounds=settings.repeats,
        warm=False,
    )
    lines: list[dict[str, Any]] = []
    for name in SELECTORS:
        coreset = found[name]
        line = {
            "selector": f"`{name}`",
            "seconds": timings.spread(name),
            "ratio": timings.ratio(name, FIRST),
            "bound": coreset.report["error_bound"],
            **rows.errors(coreset.indices, coreset.weights),
        }
        lines.append(line)
    cells = found[FIRST]
    bound, weights = rows.by_nearest(cells.indices)
    lines.append(
        {
            "selector": f"`{FIRST}`, each row to the nearest pick",
            "bound": bound,
            **rows.errors(cells.indices, weights),
        }
    )
    lines += _random(rows, torch.bincount(rows.labels[cells.indices]), settings)
    yield Table(
        "selectors",
        f"{picks:,} of {count:,} rows of Covertype by their {rows.x.shape[1]} features, each class "
        f"by itself; processor seconds of one core, {settings.repeats} timed in turn; the sum of "
        f"the logistic gradients has the length {rows.logistic_length():,.0f}",
        (
            Column("selector", "selector"),
            Column("seconds", "seconds", seconds),
            Column("ratio", f"times {FIRST}", times),
            Column("bound", "bound", digits(0)),
            Column("features", "error, features", digits(0)),
            Column("logistic", "error, logistic", digits(0)),
            Column("effective", "effective number of picks", digits(0)),
        ),
        lines,
    )


def _random(
    rows: TableRows, shares: Tensor, settings: CoresetTrainingSettings
) -> list[dict[str, Any]]:
    """Random rows of each class: with the weights of nearest rows, and with equal ones."""
    near: list[dict[str, float]] = []
    even: list[dict[str, float]] = []
    for repeat in range(settings.repeats):
        picks = rows.drawn(shares, derived_seed(settings.seed, f"random rows {repeat}"))
        bound, weights = rows.by_nearest(picks)
        near.append({"bound": bound, **rows.errors(picks, weights)})
        sizes = torch.bincount(rows.labels, minlength=len(shares)).double()
        even.append(rows.errors(picks, (sizes / shares)[rows.labels[picks]]))
    words = "random rows of each class"
    return [
        {"selector": f"{words}, each row to the nearest pick", **_spreads(near)},
        {"selector": f"{words}, equal weights within it", **_spreads(even)},
    ]


def _spreads(lines: list[dict[str, float]]) -> dict[str, Spread]:
    return {key: Spread.of(line[key] for line in lines) for key in lines[0]}


def chosen_count(share: float, rows: int) -> int:
    """How many rows a share is.

    Raises:
        ArgumentError: It is none.
    """
    picks = round(share * rows)
    if picks < 1:
        raise ArgumentError(f"share: {share:g} of {rows} rows is none; set a larger share")
    return picks


def covertype_rows(count: int | None, seed: int) -> TableRows:
    """Covertype's rows, training and test together, standardised.

    Args:
        count: The first of a random order; None for all, in their own order.
        seed: Of that order.

    Raises:
        DataUnavailableError: It is not in the cache.
        ArgumentError: There are not so many.
    """
    table = load_table(DATASET)
    x, labels = torch.cat([table.train_x, table.test_x]), torch.cat([table.train_y, table.test_y])
    if count is not None:
        if count > len(x):
            raise ArgumentError(f"table_rows: {count} rows are wanted, and there are {len(x)}")
        generator = torch.Generator().manual_seed(derived_seed(seed, "rows of the table"))
        order = torch.randperm(len(x), generator=generator)[:count]
        x, labels = x[order], labels[order]
    return TableRows(table.standardise(x), labels, derived_seed(seed, "coefficients"))


@dataclass(frozen=True, eq=False)
class TableRows:
    """Rows, their classes, and the two kinds of gradients that errors are measured with.

    Attributes:
        x: float32 `[n, d]`.
        labels: int64 `[n]`.
        seed: Of the random coefficients of the logistic regression.
    """

    x: Tensor
    labels: Tensor
    seed: int

    def errors(self, picks: Tensor, weights: Tensor) -> dict[str, float]:
        """How far weighted sums over picks are from the sums over all rows.

        Args:
            picks: int64 `[k]`.
            weights: `[k]`.

        Returns:
            `features` and `logistic`, and the `effective` number of picks, (Σγ)² / Σγ².
        """
        weights = weights.double()
        ones = torch.ones(len(self.x), dtype=torch.float64)
        every = torch.arange(len(self.x))
        features = self.x.double().sum(0) - weights @ self.x[picks].double()
        logistic = self._gradient(every, ones) - self._gradient(picks, weights)
        return {
            "features": float(features.norm()),
            "logistic": float(logistic.norm()),
            "effective": float(weights.sum() ** 2 / weights.square().sum()),
        }

    def logistic_length(self) -> float:
        """The length of the sum of the logistic gradients of all rows."""
        every = torch.arange(len(self.x))
        return float(self._gradient(every, torch.ones(len(every), dtype=torch.float64)).norm())

    def by_nearest(self, picks: Tensor) -> tuple[float, Tensor]:
        """Give each row to the nearest pick of its class.

        Returns:
            Σ ‖g − g(pick)‖, and how many rows each pick got, `[k]`.
        """
        place, away = nearest(self.x, self.x[picks], self.labels, self.labels[picks])
        return float(away.sum()), torch.bincount(place, minlength=len(picks)).double()

    def drawn(self, shares: Tensor, seed: int) -> Tensor:
        """Draw so many rows of each class at random, int64 `[k]`."""
        generator = torch.Generator().manual_seed(seed)
        parts = []
        for label, count in enumerate(shares.tolist()):
            mine = (self.labels == label).nonzero().squeeze(1)
            parts.append(mine[torch.randperm(len(mine), generator=generator)[:count]])
        return torch.cat(parts)

    def _gradient(self, picks: Tensor, weights: Tensor) -> Tensor:
        """Weighted sum of (p − y) ⊗ [x, 1] over picks, float64 `[C, d + 1]`."""
        classes, columns = int(self.labels.max()) + 1, self.x.shape[1]
        generator = torch.Generator().manual_seed(self.seed)
        matrix = torch.randn(classes, columns, generator=generator, dtype=torch.float64)
        total = torch.zeros(classes, columns + 1, dtype=torch.float64)
        for rows, part in zip(
            torch.split(picks, 50_000), torch.split(weights, 50_000), strict=True
        ):
            x = self.x[rows].double()
            residuals = (x @ matrix.t() / columns**0.5).softmax(1)
            residuals[torch.arange(len(rows)), self.labels[rows]] -= 1
            residuals *= part.unsqueeze(1)
            total[:, :columns] += residuals.t() @ x
            total[:, columns] += residuals.sum(0)
        return total
