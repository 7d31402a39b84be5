"""Class weights by DRO: updates by hand, what they do, state, bad input."""

import math

import pytest
import torch

from clcore import ArgumentError, SignalError
from strategies.generative import ClassWeights

LABELS = [3, 3, 3, 5, 8, 8]


def test_an_update_by_hand():
    weights = ClassWeights(LABELS, step_size=0.5, smoothing=0.1)
    assert weights.classes.tolist() == [3, 5, 8]
    losses = torch.tensor([1.0, 2.0, 0.5, 4.0])
    reference = torch.tensor([0.5, 3.0, 0.5, 1.0])
    alpha = weights.update(losses, reference, [3, 3, 8, 8])
    # Excess: class 3 (0.5 + 0) / 2, class 5 no rows, class 8 (0 + 3) / 2.
    raised = [math.exp(0.5 * 0.25) / 3, 1 / 3, math.exp(0.5 * 1.5) / 3]
    expected = [0.9 * value / sum(raised) + 0.1 / 3 for value in raised]
    assert alpha.tolist() == pytest.approx(expected)
    assert weights.average().tolist() == pytest.approx(expected)
    again = weights.update(reference, losses.clamp_min(9), [3, 3, 8, 8])
    assert weights.average().tolist() == pytest.approx(((alpha + again) / 2).tolist())


def test_rows_count_by_weight_over_share_with_mean_one():
    weights = ClassWeights(LABELS)
    assert weights.rows([3, 5, 8]).tolist() == pytest.approx([2 / 3, 2, 1])
    weights.update(torch.tensor([5.0, 1.0]), torch.ones(2), [5, 3])
    rows = weights.rows(LABELS)
    assert rows.dtype == torch.float32
    assert float(rows.mean()) == pytest.approx(1)
    losses = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    by_class = torch.stack([losses[:3].mean(), losses[3], losses[4:].mean()]).double()
    assert float((rows * losses).mean()) == pytest.approx(float((weights.alpha * by_class).sum()))
    assert weights.rows([5], torch.tensor([0.5, 0.0, 0.5])).tolist() == [0]


def test_the_class_behind_its_reference_gets_the_weight():
    weights = ClassWeights(LABELS)
    for _ in range(20):
        weights.update(torch.tensor([1.0, 1.2, 0.9]), torch.ones(3), [3, 5, 8])
    assert weights.alpha.argmax() == 1
    assert float(weights.alpha[1]) > 0.9
    assert weights.alpha[0] == weights.alpha[2]
    assert float(weights.alpha.min()) >= 1e-3 / 3


def test_state():
    one, two = ClassWeights(LABELS), ClassWeights(LABELS)
    batch = torch.tensor([2.0, 1.0]), torch.ones(2), [5, 8]
    one.update(*batch)
    two.load_state_dict(one.state_dict())
    assert torch.equal(one.update(*batch), two.update(*batch))
    assert torch.equal(one.average(), two.average())
    with pytest.raises(ArgumentError, match=r"of classes \[3, 5, 8\] where these are \[0, 1\]"):
        ClassWeights([0, 1]).load_state_dict(one.state_dict())


def test_bad_input():
    weights, ones = ClassWeights(LABELS), torch.ones(2)
    with pytest.raises(ArgumentError, match="labels holds 4, which is no class"):
        weights.rows([3, 4])
    with pytest.raises(ArgumentError, match="labels holds 9, which is no class"):
        weights.update(ones, ones, [3, 9])
    with pytest.raises(ArgumentError, match="one number a row"):
        weights.update(ones, torch.ones(2, 1), [3, 3])
    with pytest.raises(ArgumentError, match="labels has 1 rows"):
        weights.update(ones, ones, [3])
    with pytest.raises(SignalError, match="'reference' holds NaN, first in row 1"):
        weights.update(ones, torch.tensor([1.0, math.nan]), [3, 3])
    for options, words in (
        ({"step_size": 0}, "step_size must be"), ({"smoothing": 1.0}, "smoothing must be"),
    ):  # fmt: skip
        with pytest.raises(ArgumentError, match=words):
            ClassWeights(LABELS, **options)
    with pytest.raises(ArgumentError, match="labels"):
        ClassWeights([])
