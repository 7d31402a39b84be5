import pytest
import torch
from torch.nn.functional import cross_entropy

from benchmarks.running.monitor import Counts, Monitor, losses


def follow(steps, log_points, evaluations, counts=None):
    """At which iterations an experience is logged and evaluated."""
    logged, evaluated = [], []
    monitor = Monitor(
        counts or Counts(),
        on_train=lambda iteration, numbers: logged.append(iteration),
        on_evaluate=evaluated.append,
        on_progress=lambda: None,
    )
    monitor.begin_experience(steps, log_points, evaluations)
    for _ in range(steps):
        monitor.step(torch.tensor(1.0), torch.zeros(2, 3), torch.tensor([0, 1]), None)
    return logged, evaluated, monitor.counts


def test_evenly_spaced_and_the_last_step_is_logged():
    logged, evaluated, _ = follow(100, 4, 3)
    assert logged == [25, 50, 75, 100]
    assert evaluated == [25, 50, 75]


def test_more_points_than_steps():
    logged, evaluated, _ = follow(3, 40, 10)
    assert logged == [1, 2, 3]
    assert evaluated == [1, 2]  # the end of an experience is evaluated anyway


def test_no_evaluation_during():
    assert follow(10, 1, 0)[:2] == ([10], [])


def test_counts_go_on_from_where_they_were():
    logged, evaluated, counts = follow(10, 2, 1, Counts(iteration=7, forward=70, backward=70))
    assert (logged, evaluated) == ([12, 17], [12])
    assert counts == Counts(iteration=17, forward=90, backward=90)


def test_passes_over_one_batch_are_counted():
    monitor = Monitor(
        Counts(), on_train=lambda *_: None, on_evaluate=lambda _: None, on_progress=lambda: None
    )
    monitor.step(torch.tensor(1.0), torch.zeros(2, 3), torch.tensor([0, 1]), None, passes=3)
    assert monitor.counts == Counts(iteration=1, forward=6, backward=6)


def test_losses_tell_the_stream_from_what_was_replayed():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(30, 4, generator=generator)
    y = torch.randint(4, (30,), generator=generator)
    replayed = torch.arange(30) >= 12
    found = losses(cross_entropy(logits, y), logits, y, replayed)
    right = sum(int(logits[row].argmax() == y[row]) for row in range(12))
    assert found["accuracy"] == pytest.approx(right / 12)
    assert found["loss"] == pytest.approx(float(cross_entropy(logits, y)))
    each = [float(cross_entropy(logits[row], y[row])) for row in range(12, 30)]
    assert found["replay_loss"] == pytest.approx(sum(each) / 18)
    for nothing in (None, torch.zeros(30, dtype=torch.bool)):
        assert losses(torch.tensor(0.0), logits, y, nothing)["replay_loss"] is None
