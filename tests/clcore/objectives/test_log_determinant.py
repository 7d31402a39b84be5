"""The log-determinant against `torch.logdet`, within the rank and beyond it."""

import math

import pytest
import torch

from clcore import ArgumentError, Pool, SignalError
from clcore.maximisers import create
from clcore.objectives.log_determinant import LogDeterminant
from clcore.testing import example_pool


def matrix_of(pool, kernel, quality, jitter=1e-6):
    x = pool.signal("features").double()
    unit = x / x.norm(dim=1, keepdim=True)
    squared = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").square()
    found = {
        "rbf": torch.exp(-squared / squared.mean()),
        "linear": x @ x.t(),
        "cosine": unit @ unit.t(),
    }[kernel]
    q = torch.ones(len(pool)) if quality is None else pool.signal(quality)
    found = found * q.double() * q.double().unsqueeze(1)
    return found + jitter * found.diagonal().mean() * torch.eye(len(pool))


@pytest.mark.parametrize("quality", [None, "costs"])
@pytest.mark.parametrize("kernel", ["rbf", "linear", "cosine"])
def test_value_is_the_log_determinant(kernel, quality):
    pool = example_pool(30, seed=2)
    function = LogDeterminant(pool, kernel, quality=quality)
    for rows in ([4], [3, 17, 4, 29], list(range(12))):  # 12 is beyond the rank of 6 features
        block = matrix_of(pool, kernel, quality)[rows][:, rows]
        assert function.evaluate(rows) == pytest.approx(float(torch.logdet(block)), rel=1e-6)


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
def test_greedy_is_brute_force_greedy_far_beyond_the_rank(kernel):
    pool = example_pool(60, seed=3)
    matrix = matrix_of(pool, kernel, "costs")
    rows, value = [], 0.0
    for _ in range(14):
        values = [
            -math.inf if x in rows else float(torch.logdet(matrix[[*rows, x]][:, [*rows, x]]))
            for x in range(60)
        ]
        rows.append(max(range(60), key=values.__getitem__))
        value = values[rows[-1]]
    for maximiser in ("plain", "lazy"):
        function = LogDeterminant(pool, kernel, quality="costs")
        picks = create(maximiser).maximise(function, 14)
        assert picks.rows == rows
        assert sum(picks.gains) == pytest.approx(value)


def test_copies_of_a_pick_come_last_with_the_least_gain():
    x = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    pool = Pool(features=torch.cat([x, x]))
    function = LogDeterminant(pool, bandwidth=1.0)
    picks = create("lazy").maximise(function, 20)
    assert sorted(row % 10 for row in picks.rows[:10]) == list(range(10))
    # A copy adds what the jitter gives it: ε + ε / (1 + ε).
    assert max(picks.gains[10:]) == pytest.approx(math.log(2e-6), abs=0.01)


def test_all_rows_at_once_as_on_a_gpu_gives_the_same():
    pool = example_pool(40, seed=1)
    lazy, eager = (LogDeterminant(pool, quality="costs") for _ in range(2))
    eager._at_once = True
    eager.reset()
    first = create("lazy").maximise(lazy, 30)
    second = create("plain").maximise(eager, 30)
    assert first.rows == second.rows
    assert first.gains == pytest.approx(second.gains)


def test_a_jitter_of_1_is_monotone():
    pool = Pool(features=torch.eye(3))
    assert LogDeterminant(pool, jitter=1.0).monotone
    assert not LogDeterminant(pool).monotone


def test_wrong_options():
    pool = Pool(features=torch.eye(3), scores=torch.tensor([1.0, 0.0, 2.0]), logits=torch.eye(3))
    with pytest.raises(ArgumentError, match="kernel must be one of 'rbf', 'linear', 'cosine'"):
        LogDeterminant(pool, "laplace")
    with pytest.raises(ArgumentError, match="bandwidth is for the kernel 'rbf'"):
        LogDeterminant(pool, "linear", bandwidth=1.0)
    with pytest.raises(ArgumentError, match="jitter must be a positive number"):
        LogDeterminant(pool, jitter=0.0)
    with pytest.raises(SignalError, match=r"'scores' must be above 0 .* row 1 holds 0.0"):
        LogDeterminant(pool, quality="scores")
    with pytest.raises(SignalError, match="one quality a row"):
        LogDeterminant(pool, quality="logits")
    with pytest.raises(SignalError, match="no signal 'merit'"):
        LogDeterminant(pool, quality="merit")
