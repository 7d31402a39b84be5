"""The training recorder against counting by hand, epochs with gaps, and exact resuming."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from clcore import ArgumentError, FormatError, Pool, SignalError, select
from clcore.recorder import TrainingRecorder


def record(answers, losses=None):
    """Record `[T, n]` answers, an epoch a row."""
    recorder = TrainingRecorder(len(answers[0]))
    for epoch, right in enumerate(answers):
        values = torch.full((len(right),), float(epoch)) if losses is None else losses[epoch]
        recorder.update(range(len(right)), losses=values, correct=right)
        recorder.end_epoch()
    return recorder


def test_forgetting_is_from_right_to_wrong():
    #                   never right, always, forgotten twice, learnt late, forgotten once
    answers = [[0, 1, 1, 0, 1], [0, 1, 0, 0, 0], [0, 1, 1, 0, 0], [0, 1, 0, 1, 0]]
    assert record(answers).forgetting_events().tolist() == [5, 0, 2, 0, 1]


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(1, 6).flatmap(
    lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=1, max_size=7)
))  # fmt: skip
def test_forgetting_equals_counting_by_hand(answers):
    recorder = record(answers)
    for row, found in enumerate(recorder.forgetting_events().tolist()):
        history = [epoch[row] for epoch in answers]
        events = sum(a and not b for a, b in itertools.pairwise(history))
        assert found == (events if any(history) else len(answers) + 1)


def test_losses_are_means_over_an_epoch_in_any_order_of_batches():
    recorder = TrainingRecorder(4)
    for rows, losses in (([2, 0], [1.0, 2.0]), ([3, 1], [3.0, 4.0]), ([0, 0], [5.0, 8.0])):
        recorder.update(rows, losses=losses)
    recorder.end_epoch()
    assert recorder.loss_trajectories().tolist() == [[5.0], [4.0], [1.0], [3.0]]


def test_a_row_twice_in_a_batch_is_answered_in_order():
    recorder = TrainingRecorder(2)
    recorder.update([0, 1, 0, 0], correct=[True, True, False, True])
    assert recorder.forgetting_events().tolist() == [1, 0]
    recorder.update([0, 0], correct=[False, False])
    assert recorder.forgetting_events().tolist() == [2, 0]


def test_epochs_in_which_rows_were_not_seen():
    recorder = TrainingRecorder(4)
    for rows, losses in (([0, 1], [1.0, 2.0]), ([1, 2], [3.0, 6.0]), ([0, 2], [5.0, 7.0])):
        recorder.update(rows, losses=losses, correct=[True] * 2)
        recorder.end_epoch()
    expected = [[1, 1, 5], [2, 3, 3], [6, 6, 7], [3, 10 / 3, 5]]
    assert torch.allclose(recorder.loss_trajectories(), torch.tensor(expected))
    assert recorder.forgetting_events().tolist() == [0, 0, 0, 4]


def test_from_logits_and_labels():
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    recorder = TrainingRecorder(6)
    recorder.update(np.arange(6), logits=logits, labels=labels)
    recorder.end_epoch()
    losses = functional.cross_entropy(logits, labels, reduction="none")
    assert torch.allclose(recorder.loss_trajectories()[:, 0], losses.detach())
    right = logits.argmax(1) == labels
    assert recorder.forgetting_events().tolist() == torch.where(right, 0.0, 2.0).tolist()


def test_signals_go_into_a_pool():
    recorder = record([[1, 0, 1], [0, 0, 1]])
    pool = Pool(**recorder.signals())
    assert set(pool.names) == {"forgetting_events", "loss_trajectories"}
    assert pool.signal("loss_trajectories").shape == (3, 2)
    chosen = select("forgetting", pool, 2, seed=0)
    assert chosen.indices.tolist() == [1, 0]
    assert TrainingRecorder(3).signals() == {}
    only = TrainingRecorder(2)
    only.update([0], losses=[1.0])
    assert only.signals() == {}
    only.end_epoch()
    assert set(only.signals()) == {"loss_trajectories"}


def test_state_goes_on_exactly_in_the_middle_of_an_epoch(tmp_path):
    generator = torch.Generator().manual_seed(0)
    steps = [
        (torch.randperm(8, generator=generator)[:5], torch.rand(5, generator=generator),
         torch.rand(5, generator=generator) > 0.5)
        for _ in range(9)
    ]  # fmt: skip

    def run(recorder, part):
        for step in part:
            rows, losses, right = steps[step]
            recorder.update(rows, losses=losses, correct=right)
            if step % 3 == 2:
                recorder.end_epoch()
        return recorder

    whole = run(TrainingRecorder(8), range(9))
    first = run(TrainingRecorder(8), range(4))
    torch.save(first.state_dict(), tmp_path / "state.pt")
    resumed = TrainingRecorder(8)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    run(resumed, range(4, 9))
    assert first.epochs == 1, "the recorder that was saved stands still"
    for name, values in whole.state_dict().items():
        again = resumed.state_dict()[name]
        if name == "schema":
            assert again == values
        else:
            assert torch.equal(again.nan_to_num(-1), values.nan_to_num(-1)), name
    assert torch.equal(resumed.loss_trajectories(), whole.loss_trajectories())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ArgumentError, "update needs losses=, correct="),
        ({"losses": [1.0, torch.nan]}, SignalError, "'losses' holds NaN, first in row 1"),
        ({"losses": [torch.inf, 1.0]}, SignalError, "'losses' holds infinity"),
        ({"losses": [1.0]}, ArgumentError, r"losses must be \[2\]"),
        ({"correct": [1]}, ArgumentError, r"correct must be \[2\]"),
        ({"correct": [1, 2]}, SignalError, "correct must hold booleans"),
        ({"correct": [0.5, 1]}, SignalError, "correct must hold booleans"),
        ({"logits": torch.ones(2, 3)}, ArgumentError, "logits and labels belong together"),
        ({"labels": [0, 1]}, ArgumentError, "logits and labels belong together"),
        ({"logits": torch.ones(2), "labels": [0, 1]}, ArgumentError, r"logits must be \[2, C\]"),
        ({"logits": torch.ones(2, 3), "labels": [0]}, ArgumentError, "labels has 1 rows"),
        ({"logits": torch.ones(2, 3), "labels": [0, 3]}, ArgumentError, "from 0 to 2.* found 3"),
        (
            {"logits": torch.tensor([[1.0, torch.nan]] * 2), "labels": [0, 1]},
            SignalError,
            "'logits' holds NaN",
        ),
        ({"indices": [0, 4], "losses": [1, 1]}, ArgumentError, "indices holds 4, .* 0 to 3"),
        ({"indices": [-1, 0], "losses": [1, 1]}, ArgumentError, "indices holds -1"),
        ({"indices": [0.5, 0], "losses": [1, 1]}, ArgumentError, "indices must be integers"),
    ],
)
def test_refusals_take_nothing(arguments, error, message):
    recorder = TrainingRecorder(4)
    arguments = {"indices": [0, 1], **arguments}
    before = recorder.state_dict()
    with pytest.raises(error, match=message):
        recorder.update(arguments.pop("indices"), **arguments)
    after = recorder.state_dict()
    assert all(torch.equal(after[k], v) for k, v in before.items() if k != "schema")


def test_nothing_to_tell():
    with pytest.raises(ArgumentError, match="rows must be a whole number of at least 1"):
        TrainingRecorder(0)
    recorder = TrainingRecorder(3)
    with pytest.raises(ArgumentError, match="end_epoch before any update"):
        recorder.end_epoch()
    with pytest.raises(ArgumentError, match="no epoch with losses has ended"):
        recorder.loss_trajectories()
    with pytest.raises(ArgumentError, match="no right or wrong answers"):
        recorder.forgetting_events()


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("sums"),
        lambda state: state.update(schema=2),
        lambda state: state.update(events=torch.zeros(4, dtype=torch.int64)),
        lambda state: state.update(sums=state["sums"].float()),
        lambda state: state.update(last="x"),
        lambda state: state.update(epochs=torch.zeros(3)),
    ],
)
def test_foreign_states_are_refused(change):
    state = TrainingRecorder(3).state_dict()
    change(state)
    with pytest.raises(FormatError, match="state"):
        TrainingRecorder(3).load_state_dict(state)
