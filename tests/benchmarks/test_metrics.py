import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import metrics
from clcore.errors import ArgumentError

HAND = [
    [0.9, 0.1, 0.0],
    [0.6, 0.8, 0.2],
    [0.5, 0.7, 1.0],
]


def test_by_hand():
    assert metrics.final_accuracy(HAND) == pytest.approx((0.5 + 0.7 + 1.0) / 3)
    assert metrics.average_accuracy(HAND) == pytest.approx((0.9 + 0.7 + 2.2 / 3) / 3)
    assert metrics.average_forgetting(HAND) == pytest.approx(((0.9 - 0.5) + (0.8 - 0.7)) / 2)
    assert metrics.backward_transfer(HAND) == pytest.approx(((0.5 - 0.9) + (0.7 - 0.8)) / 2)
    assert metrics.forward_transfer(HAND, [0.3, 0.2, 0.1]) == pytest.approx(
        ((0.1 - 0.2) + (0.2 - 0.1)) / 2
    )
    assert metrics.learning_accuracy(HAND) == pytest.approx((0.9 + 0.8 + 1.0) / 3)


def test_forgetting_looks_for_the_best_of_all_earlier_rows():
    # Experience 1 was known better before it was learned: Chaudhry's maximum counts that too.
    matrix = [[1.0, 0.9, 0.0], [1.0, 0.5, 0.0], [1.0, 0.5, 1.0]]
    assert metrics.average_forgetting(matrix) == pytest.approx((0.0 + 0.4) / 2)


def test_forgetting_is_negative_where_accuracy_still_rises():
    assert metrics.average_forgetting([[0.5, 0.0], [0.7, 0.9]]) == pytest.approx(-0.2)


def test_forgetting_so_far_uses_the_rows_so_far():
    assert metrics.average_forgetting(HAND[:2], upto=2) == pytest.approx(0.3)
    assert metrics.average_forgetting(HAND, upto=1) == 0.0


def test_one_row_is_joint_training():
    found = metrics.summarise([[0.8, 0.6]], [0.1, 0.1])
    assert found == metrics.Metrics(0.7, 0.7, 0.0, 0.0, None, 0.7)


def test_summary_without_the_untrained_model():
    assert metrics.summarise(HAND).forward_transfer is None
    assert metrics.summarise(HAND, [0.3, 0.2, 0.1]).forward_transfer == pytest.approx(0.0)


rates = st.floats(0, 1, allow_nan=False)


def squares(size):
    row = st.lists(rates, min_size=size, max_size=size)
    return st.tuples(st.lists(row, min_size=size, max_size=size), row)


@given(st.integers(2, 6).flatmap(squares))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_against_brute_force(drawn):
    matrix, untrained = drawn
    size = len(matrix)
    last = matrix[-1]

    forgotten, backward, forward, seen, diagonal = 0.0, 0.0, 0.0, 0.0, 0.0
    for j in range(size):
        diagonal += matrix[j][j]
        if j < size - 1:
            best = -math.inf
            for earlier in range(size - 1):
                best = max(best, matrix[earlier][j])
            forgotten += best - last[j]
            backward += last[j] - matrix[j][j]
        if j > 0:
            forward += matrix[j - 1][j] - untrained[j]
    for i in range(size):
        seen += sum(matrix[i][j] for j in range(i + 1)) / (i + 1)

    found = metrics.summarise(matrix, untrained)
    assert found.final_accuracy == pytest.approx(sum(last) / size)
    assert found.average_accuracy == pytest.approx(seen / size)
    assert found.average_forgetting == pytest.approx(forgotten / (size - 1), abs=1e-12)
    assert found.backward_transfer == pytest.approx(backward / (size - 1), abs=1e-12)
    assert found.forward_transfer == pytest.approx(forward / (size - 1), abs=1e-12)
    assert found.learning_accuracy == pytest.approx(diagonal / size)
    # A forgetting of at least minus the backward transfer: the best is no less than the diagonal.
    assert found.average_forgetting >= -found.backward_transfer - 1e-12


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        ([], "is empty"),
        ([[]], "is empty"),
        ([[0.1, 0.2], [0.3]], "square matrix"),
        ([[0.1, 0.2, 0.3], [0.1, 0.2, 0.3]], "square matrix"),
        ([[0.1, 1.2], [0.3, 0.4]], "1.2 in row 0, column 1"),
        ([[0.1, 0.2], [float("nan"), 0.4]], "nan in row 1, column 0"),
    ],
)
def test_refuses_what_is_no_accuracy_matrix(matrix, words):
    with pytest.raises(ArgumentError, match=words):
        metrics.summarise(matrix)


def test_refuses_an_untrained_row_of_another_length():
    with pytest.raises(ArgumentError, match="got 2 accuracies for 3 test sets"):
        metrics.forward_transfer(HAND, [0.1, 0.2])
