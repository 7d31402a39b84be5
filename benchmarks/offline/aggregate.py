"""Means and standard deviations over the seeds of offline runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.offline.method import BASELINES, FULL, is_full
from benchmarks.offline.record import OfflineRun
from benchmarks.reporting.aggregate import OverSeeds, Spread, by_seed


@dataclass(frozen=True)
class OfflineSummary(OverSeeds[OfflineRun]):
    """All seeds of one method with one fraction and one optimiser.

    Args:
        method: Name with its options.
        fraction: Share of the training rows.
        optimizer: Name of the optimiser.
        seeds: The seeds, ascending.
        runs: The runs, in the order of `seeds`.
    """

    method: str
    fraction: float
    optimizer: str
    seeds: tuple[int, ...]
    runs: tuple[OfflineRun, ...]

    @property
    def reference(self) -> bool:
        """Whether this is full training: a reference point, not a competitor."""
        return is_full(self.method)

    @property
    def baseline(self) -> bool:
        """Whether rows are chosen blindly."""
        return self.method.partition("+")[0] in BASELINES

    @property
    def final_accuracy(self) -> Spread:
        """Accuracy on the test set after the last epoch."""
        return self.spread(lambda run: run.final_accuracy)

    @property
    def final_loss(self) -> Spread:
        """Objective on all training rows after the last epoch."""
        return self.spread(lambda run: run.curves.loss[-1])

    @property
    def speedup(self) -> Spread | None:
        """Over full training, to its final loss; None where no seed gets there."""
        return self.spread_of_some(lambda run: run.speedup)

    @property
    def speedup_accuracy(self) -> Spread | None:
        """Over full training, to its final accuracy; None where no seed gets there."""
        return self.spread_of_some(lambda run: run.speedup_accuracy)

    @property
    def speedup_cpu(self) -> Spread | None:
        """`speedup` in processor time."""
        return self.spread_of_some(lambda run: run.speedup_cpu)

    @property
    def speedup_accuracy_cpu(self) -> Spread | None:
        """`speedup_accuracy` in processor time."""
        return self.spread_of_some(lambda run: run.speedup_accuracy_cpu)

    @property
    def cpu_seconds(self) -> Spread | None:
        """Processor time of training and selection; None where it was not measured."""
        return self.spread_of_some(
            lambda run: None if run.curves.cpu_seconds is None else run.curves.cpu_seconds[-1]
        )

    @property
    def gradient_error(self) -> Spread | None:
        """Mean over the selections of the error relative to the length of the gradient."""
        return self.spread_of_some(relative_gradient_error)


def relative_gradient_error(run: OfflineRun) -> float | None:
    """Mean over a run's selections of ‖error‖ / ‖gradient of all rows‖; None if not measured."""
    shares = [
        chosen.gradient_error / chosen.gradient_norm
        for chosen in run.selections
        if chosen.gradient_error is not None and chosen.gradient_norm
    ]
    return sum(shares) / len(shares) if shares else None


def aggregate(runs: Iterable[OfflineRun]) -> list[OfflineSummary]:
    """Gather runs by optimiser, fraction and method.

    Args:
        runs: Runs of one suite, in any order.

    Returns:
        Summaries by optimiser and ascending fraction; within a fraction full training comes first,
        then the blind baselines, then the others by descending accuracy. Full training is there
        once an optimiser, at its head.

    Raises:
        ArgumentError: Two runs have the same method, fraction, optimiser and seed.
    """
    found = by_seed(
        runs,
        key=lambda run: (run.method, run.fraction, run.optimizer),
        name=lambda run: f"{run.method} with fraction {run.fraction:g}, {run.optimizer}",
    )
    summaries = [OfflineSummary(*key, *own) for key, own in found.items()]
    return sorted(summaries, key=order)


def order(summary: OfflineSummary) -> tuple[str, bool, bool, float, bool, float, str]:
    """Where a summary stands in a table."""
    return (
        summary.optimizer,
        not summary.reference,
        summary.method != FULL,
        summary.fraction,
        not summary.baseline,
        -summary.final_accuracy.mean,
        summary.method,
    )
