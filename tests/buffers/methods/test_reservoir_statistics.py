"""The reservoir really is uniform: every position of the stream is held equally often."""

import pytest
import torch

from buffers import ReservoirBuffer


def chi_square(held, repetitions, probability):
    """Statistic that is about χ² with one degree of freedom fewer than positions."""
    expected = repetitions * probability
    positions = len(held)
    variance = expected * (1 - probability) * positions / (positions - 1)
    return float(((held - expected) ** 2 / variance).sum())


@pytest.mark.parametrize("batch", [17, 60])
def test_every_position_is_held_with_probability_m_over_n(batch):
    size, length, repetitions = 12, 60, 800
    held = torch.zeros(length)
    x = torch.arange(float(length))
    y = torch.zeros(length, dtype=torch.int64)
    for seed in range(repetitions):
        buffer = ReservoirBuffer(size, seed=seed)
        for rows in torch.arange(length).split(batch):
            buffer.add(x[rows], y[rows])
        held[buffer.store.born] += 1
    assert held.sum() == size * repetitions
    # 59 degrees of freedom: mean 59, the 99.9 % quantile is 98.3; far too even is as wrong.
    assert 30 < chi_square(held, repetitions, size / length) < 98.3


def test_the_test_notices_a_biased_reservoir():
    # Rows drawn with j from {0, …, n − 1}, a common mistake, hold 8 % more of the newest.
    biased = torch.full((60,), 160.0)
    biased[-20:] += 30
    biased[:20] -= 30
    assert chi_square(biased, 800, 0.2) > 98.3


def test_long_streams_admit_about_m_log_n():
    buffer = ReservoirBuffer(50, seed=1)
    for start in range(0, 5000, 10):
        buffer.add(torch.arange(start, start + 10.0), torch.zeros(10, dtype=torch.int64))
    assert 180 < buffer.replaced < 280  # 50 · ln(5000 / 50) = 230 expected


def test_the_cut_into_batches_changes_nothing():
    x, y = torch.arange(300.0), torch.arange(300) % 3
    whole, cut = ReservoirBuffer(20, seed=4), ReservoirBuffer(20, seed=4)
    whole.add(x, y)
    for rows in torch.arange(300).split(7):
        cut.add(x[rows], y[rows])
    assert torch.equal(whole.all().x, cut.all().x)
