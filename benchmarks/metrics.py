"""What an accuracy matrix says: accuracy, forgetting, transfer.

`A[i][j]` is the accuracy on the test set of experience j after training on experience i, counted
from 0; T experiences give T rows and T columns. All rates lie in [0, 1], differences in [-1, 1].
Joint training has one row (everything was learned at once): its accuracy is the mean of that row,
nothing can have been forgotten, and transfer between experiences is not defined.

Sources: Lopez-Paz and Ranzato 2017, "Gradient Episodic Memory for Continual Learning", section 2
(accuracy, backward and forward transfer); Chaudhry et al. 2018, "Riemannian Walk for Incremental
Learning", section 3 (forgetting); Riemer et al. 2019, "Learning to Learn without Forgetting by
Maximizing Transfer and Minimizing Interference" (learning accuracy).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from clcore.errors import ArgumentError

Matrix: TypeAlias = Sequence[Sequence[float]]
"""Row: after training on experience i. Column: test set of experience j."""


@dataclass(frozen=True)
class Metrics:
    """All numbers that one accuracy matrix gives.

    Attributes:
        final_accuracy: See `final_accuracy`.
        average_accuracy: See `average_accuracy`.
        average_forgetting: See `average_forgetting`.
        backward_transfer: See `backward_transfer`.
        forward_transfer: See `forward_transfer`; None where it is not defined or not measured.
        learning_accuracy: See `learning_accuracy`.
    """

    final_accuracy: float
    average_accuracy: float
    average_forgetting: float
    backward_transfer: float
    forward_transfer: float | None
    learning_accuracy: float


def summarise(matrix: Matrix, untrained: Sequence[float] | None = None) -> Metrics:
    """Every metric of a finished run.

    Args:
        matrix: T x T, or one row of T for joint training.
        untrained: Accuracy of the untrained model on each test set, `[T]`; None where it was not
            measured.

    Returns:
        The metrics.

    Raises:
        ArgumentError: The matrix is not square (or one row), or holds something that is no rate.
    """
    return Metrics(
        final_accuracy=final_accuracy(matrix),
        average_accuracy=average_accuracy(matrix),
        average_forgetting=average_forgetting(matrix),
        backward_transfer=backward_transfer(matrix),
        forward_transfer=None if untrained is None else forward_transfer(matrix, untrained),
        learning_accuracy=learning_accuracy(matrix),
    )


def final_accuracy(matrix: Matrix) -> float:
    """Mean accuracy over all test sets after the last experience.

    ACC = 1/T Σ_j A[T-1][j] (Lopez-Paz and Ranzato 2017, equation 2).

    Args:
        matrix: T x T, or one row.

    Returns:
        A rate in [0, 1].

    Raises:
        ArgumentError: The matrix is not square (or one row), or holds something that is no rate.
    """
    _check(matrix)
    return _mean(matrix[-1])


def average_accuracy(matrix: Matrix) -> float:
    """Accuracy on what had been seen, averaged over the experiences.

    1/T Σ_i mean(A[i][0..i]), the area under the curve that most papers draw.

    Args:
        matrix: T x T, or one row.

    Returns:
        A rate in [0, 1]; for one row, the mean of the row.

    Raises:
        ArgumentError: The matrix is not square (or one row), or holds something that is no rate.
    """
    _check(matrix)
    if len(matrix) == 1:
        return _mean(matrix[0])
    return _mean([_mean(row[: index + 1]) for index, row in enumerate(matrix)])


def average_forgetting(matrix: Matrix, upto: int | None = None) -> float:
    """How far accuracy fell from its best, averaged over the earlier experiences.

    F = 1/(T-1) Σ_{j<T-1} ( max_{l<T-1} A[l][j] - A[T-1][j] ) (Chaudhry et al. 2018, equation 3).
    Negative where accuracy still rises. Some codes look for the best from l = j on; that differs
    only where an experience was better known before it was learned than afterwards.

    Args:
        matrix: T x T, or one row.
        upto: Use the first `upto` rows only, as of the end of that experience; all if None.

    Returns:
        A difference in [-1, 1]; 0 with a single row.

    Raises:
        ArgumentError: The matrix is not square (or one row), or holds something that is no rate.
    """
    _check(matrix, square=upto is None)
    rows = matrix[: len(matrix) if upto is None else upto]
    last = len(rows) - 1
    if last == 0:
        return 0.0
    return _mean([max(row[j] for row in rows[:last]) - rows[last][j] for j in range(last)])


def backward_transfer(matrix: Matrix) -> float:
    """How much later experiences changed the accuracy on earlier ones.

    BWT = 1/(T-1) Σ_{j<T-1} ( A[T-1][j] - A[j][j] ) (Lopez-Paz and Ranzato 2017, equation 3).

    Args:
        matrix: T x T, or one row.

    Returns:
        A difference in [-1, 1], negative where something was forgotten; 0 with a single row.

    Raises:
        ArgumentError: The matrix is not square (or one row), or holds something that is no rate.
    """
    _check(matrix)
    last = len(matrix) - 1
    if last == 0:
        return 0.0
    return _mean([matrix[last][j] - matrix[j][j] for j in range(last)])


def forward_transfer(matrix: Matrix, untrained: Sequence[float]) -> float | None:
    """How much better than an untrained model an experience is met that is yet to be learned.

    FWT = 1/(T-1) Σ_{0<j<T} ( A[j-1][j] - b[j] ), b the accuracy of the untrained model (Lopez-Paz
    and Ranzato 2017, equation 4).

    Args:
        matrix: T x T, or one row.
        untrained: b, `[T]`.

    Returns:
        A difference in [-1, 1]; None with a single row, where there is nothing yet to be learned.

    Raises:
        ArgumentError: The matrix is not square (or one row), `untrained` has not T entries, or
            one of them holds something that is no rate.
    """
    _check(matrix)
    if len(untrained) != len(matrix[0]):
        raise ArgumentError(
            f"untrained: got {len(untrained)} accuracies for {len(matrix[0])} test sets"
        )
    _check([untrained])
    if len(matrix) == 1:
        return None
    return _mean([matrix[j - 1][j] - untrained[j] for j in range(1, len(matrix))])


def learning_accuracy(matrix: Matrix) -> float:
    """Accuracy on each experience just after it was learned: the mean of the diagonal.

    LA = 1/T Σ_j A[j][j] (Riemer et al. 2019).

    Args:
        matrix: T x T, or one row.

    Returns:
        A rate in [0, 1]; for one row, the mean of the row.

    Raises:
        ArgumentError: The matrix is not square (or one row), or holds something that is no rate.
    """
    _check(matrix)
    if len(matrix) == 1:
        return _mean(matrix[0])
    return _mean([matrix[j][j] for j in range(len(matrix))])


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _check(matrix: Matrix, *, square: bool = True) -> None:
    """Refuse what is no accuracy matrix; rows of an unfinished run are fine if not `square`."""
    if not matrix or not matrix[0]:
        raise ArgumentError("accuracy matrix: is empty; one row an experience is needed")
    columns = len(matrix[0])
    finished = not square or len(matrix) in (1, columns)
    if not finished or any(len(row) != columns for row in matrix):
        raise ArgumentError(
            f"accuracy matrix: rows of {sorted({len(row) for row in matrix})} columns, "
            f"{len(matrix)} in all; a square matrix or a single row is needed"
        )
    for i, row in enumerate(matrix):
        for j, value in enumerate(row):
            if not 0.0 <= value <= 1.0:  # NaN fails this too
                raise ArgumentError(
                    f"accuracy matrix: {value!r} in row {i}, column {j} is no rate; 0 to 1 is "
                    "allowed"
                )
