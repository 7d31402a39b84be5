"""How much sooner a run gets where full training gets, selection inside.

Formula: with L the loss of full training after its last epoch (same optimiser, same seed),

    speed-up = (first second at which full training is at L or below) /
               (first second at which the run is at L or below),

both read at the points at which they were measured, whose clocks run while training and selecting
and stand still while measuring. Full training counts from its own first such point, so that it is
not charged for what it does after it got there. The same with test accuracy in the place of loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.offline.method import FULL
from benchmarks.offline.record import Curves, OfflineRun

Reading = Callable[[Curves], Sequence[float]]


def with_speedups(runs: Sequence[OfflineRun]) -> list[OfflineRun]:
    """Fill in `speedup` and `speedup_accuracy`.

    Args:
        runs: Runs of one suite, in any order.

    Returns:
        The runs in the same order; None where there is no full run of the same optimiser and seed,
        or where the run never gets there.
    """
    full = {(run.optimizer, run.seed): run.curves for run in runs if run.method == FULL}
    completed = []
    for run in runs:
        reference = full.get((run.optimizer, run.seed))
        completed.append(
            run.model_copy(
                update={
                    "speedup": factor(reference, run.curves, lambda curves: curves.loss),
                    "speedup_accuracy": factor(
                        reference, run.curves, lambda curves: curves.test_error
                    ),
                }
            )
        )
    return completed


def factor(full: Curves | None, curves: Curves, read: Reading) -> float | None:
    """Time of full training over time of a run, to the final value of full training.

    Args:
        full: Course of full training; None where there is none.
        curves: Course of the run.
        read: What falls in the course of training.

    Returns:
        The factor; None where the run never gets there, or full training was there untrained.
    """
    if full is None:
        return None
    target = read(full)[-1]
    theirs, ours = seconds_to(full, target, read), seconds_to(curves, target, read)
    if not theirs or not ours:
        return None
    return theirs / ours


def seconds_to(curves: Curves, target: float, read: Reading) -> float | None:
    """Seconds of training and selection until a value is reached.

    Args:
        curves: A run's course.
        target: The value.
        read: What falls in the course of training.

    Returns:
        Seconds at the first point at the value or below; None where there is none.
    """
    pairs = zip(curves.seconds, read(curves), strict=True)
    return next((seconds for seconds, value in pairs if value <= target), None)
