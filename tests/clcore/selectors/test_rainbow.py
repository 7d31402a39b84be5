"""Rainbow against a slow reading of the paper, and against the authors' step."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clcore import Pool, select
from clcore.errors import ArgumentError, SignalError
from clcore.selectors.rainbow import Rainbow, spread_places, vote_uncertainty
from clcore.testing import check_selector


def views(uncertainties, k=8, classes=3):
    """Logits of k views of which the given number disagrees with class 0."""
    logits = torch.zeros(len(uncertainties), k, classes)
    for row, against in enumerate(uncertainties):
        logits[row, against:, 0] = 1
        logits[row, :against, 1] = 1
    return logits


def test_votes_are_counted_as_in_the_paper():
    logits = torch.randn(50, 12, 4, generator=torch.Generator().manual_seed(0))
    uncertainty, confidence = vote_uncertainty(logits)
    for row in range(50):
        votes = [int(view.argmax()) for view in logits[row]]
        winner = min(set(votes), key=lambda c: (-votes.count(c), c))
        assert float(uncertainty[row]) == pytest.approx(1 - votes.count(winner) / 12)
        mean = logits[row].double().softmax(dim=1).mean(dim=0)
        assert float(confidence[row]) == pytest.approx(float(mean[winner]))


@settings(derandomize=True, deadline=None, max_examples=30)
@given(rows=st.integers(1, 60), data=st.data())
def test_places_are_spread_over_the_list(rows, data):
    count = data.draw(st.integers(0, rows))
    whole, step = (spread_places(rows, count, spread).tolist() for spread in ("whole", "step"))
    assert sorted(whole) == [int((i + 0.5) * rows / count) for i in range(count)]
    assert sorted(step) == [i * (rows // count) for i in range(count)]


def test_prefixes_cover_the_range():
    places = spread_places(1000, 16, "whole").tolist()
    for length in (2, 4, 8, 16):
        parts = sorted(place * length // 1000 for place in places[:length])
        assert parts == list(range(length))


def test_every_degree_of_uncertainty_is_taken():
    order = list(range(8)) * 5
    random.Random(0).shuffle(order)
    logits = views([min(u, 4) for u in order])
    pool = Pool(perturbed_logits=logits, labels=[0] * 40)
    coreset = select("rainbow", pool, 8)
    values, counts = coreset.gains.unique(return_counts=True)
    assert values.tolist() == [0, 0.125, 0.25, 0.375, 0.5]
    assert counts.tolist() == [1, 1, 1, 1, 4]


def test_the_step_leaves_the_hard_end_unused():
    pool = Pool(perturbed_logits=views([0] * 10 + [4] * 9), labels=[0] * 19)
    assert select(Rainbow(spread="step"), pool, 10).gains.tolist() == [0] * 10
    assert sorted(select("rainbow", pool, 10).gains.tolist()) == [0] * 5 + [0.5] * 5


def test_labels_have_even_shares_and_small_ones_lend():
    labels = torch.tensor([0] * 30 + [1] * 30 + [2] * 3)
    logits = torch.randn(63, 12, 3, generator=torch.Generator().manual_seed(1))
    pool = Pool(perturbed_logits=logits, labels=labels, groups=torch.arange(63) % 2)
    picks = select("rainbow", pool, 21).indices
    assert torch.bincount(labels[picks]).tolist() == [9, 9, 3]
    assert torch.bincount(labels[picks[:9]]).tolist() == [3, 3, 3], "labels come in turn"
    quota = select("rainbow", pool, 21, quotas={0: 2}).indices
    assert torch.bincount(labels[quota]).tolist() == [2, 16, 3]
    grouped = select("rainbow", pool, 21, quotas={0: 6}, quota_by="groups").indices
    assert int((grouped % 2 == 0).sum()) == 6
    assert torch.bincount(labels[grouped]).tolist() == [9, 9, 3]


def test_ties_by_confidence_put_the_surer_row_first():
    logits = torch.zeros(6, 4, 2)
    logits[:, :, 0] = torch.tensor([1.0, 3, 5, 6, 4, 2])[:, None]
    pool = Pool(perturbed_logits=logits, labels=[0] * 6)
    picks = select(Rainbow(ties="confidence"), pool, 3).indices
    assert sorted(picks.tolist()) == [0, 1, 2]  # of the order 3 2 4 1 5 0 each second one


def test_without_labels_the_pool_is_one():
    pool = Pool(perturbed_logits=views([0] * 10 + [4] * 10))
    assert sorted(select("rainbow", pool, 4).gains.tolist()) == [0, 0, 0.5, 0.5]


@pytest.mark.parametrize("spread", ["whole", "step"])
def test_contracts_by_confidence(spread):
    check_selector(Rainbow(ties="confidence", spread=spread))


def test_bad_input():
    with pytest.raises(ArgumentError, match="spread must be 'whole' or 'step'"):
        Rainbow(spread="wide")
    with pytest.raises(ArgumentError, match="ties must be 'random' or 'confidence'"):
        Rainbow(ties="first")
    with pytest.raises(SignalError, match=r"must hold logits \[views, classes\]"):
        select("rainbow", Pool(perturbed_logits=torch.zeros(5, 3)), 2)
