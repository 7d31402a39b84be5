"""How much sooner a run gets where full training gets, selection inside.

Formula: with L the loss of full training after its last epoch (same optimiser, same seed),

    speed-up = (first second at which full training is at L or below) /
               (first second at which the run is at L or below),

both read at the points at which they were measured, whose clocks run while training and selecting
and stand still while measuring. Full training counts from its own first such point, so that it is
not charged for what it does after it got there. The same with test accuracy in the place of loss,
and with processor time in the place of seconds, which other jobs on the machine hardly disturb.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from benchmarks.offline.method import FULL
from benchmarks.offline.record import Curves, OfflineRun

Value = Literal["loss", "test_error"]
Clock = Literal["seconds", "cpu_seconds"]


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
                    "speedup": factor(reference, run.curves, "loss"),
                    "speedup_accuracy": factor(reference, run.curves, "test_error"),
                    "speedup_cpu": factor(reference, run.curves, "loss", "cpu_seconds"),
                    "speedup_accuracy_cpu": factor(
                        reference, run.curves, "test_error", "cpu_seconds"
                    ),
                }
            )
        )
    return completed


def factor(
    full: Curves | None, curves: Curves, value: Value, clock: Clock = "seconds"
) -> float | None:
    """Time of full training over time of a run, to the final value of full training.

    Args:
        full: Course of full training; None where there is none.
        curves: Course of the run.
        value: What falls in the course of training.
        clock: What is compared.

    Returns:
        The factor; None where the run never gets there, full training was there untrained, or
        the clock was not read.
    """
    if full is None:
        return None
    target = getattr(full, value)[-1]
    theirs = seconds_to(full, target, value, clock)
    ours = seconds_to(curves, target, value, clock)
    if not theirs or not ours:
        return None
    return theirs / ours


def seconds_to(
    curves: Curves, target: float, value: Value, clock: Clock = "seconds"
) -> float | None:
    """Seconds of training and selection until a value is reached.

    Args:
        curves: A run's course.
        target: The value.
        value: What falls in the course of training.
        clock: Wall clock or processor time.

    Returns:
        Seconds at the first point at the value or below; None where there is none.
    """
    times = getattr(curves, clock)
    if times is None:
        return None
    pairs = zip(times, getattr(curves, value), strict=True)
    return next((seconds for seconds, found in pairs if found <= target), None)
