"""Scores from signals: against plain formulas, saturation, labels in turn, ties."""

import math

import pytest
import torch

from clcore import ArgumentError, Pool, SignalError, select


@pytest.fixture(scope="module")
def pool():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(50, 4, generator=generator, dtype=torch.float64)
    return Pool(
        logits=logits,
        labels=torch.randint(3, (50,), generator=generator),
        logit_gradients=torch.randn(50, 4, generator=generator, dtype=torch.float64),
        gradient_norms=torch.rand(50, generator=generator),
        boundary_distances=torch.rand(50, generator=generator),
        forgetting_events=torch.randint(5, (50,), generator=generator),
        losses=torch.rand(50, generator=generator),
    )


def probabilities(row):
    powers = [math.exp(value - max(row)) for value in row]
    return sorted((power / sum(powers) for power in powers), reverse=True)


FORMULAS = {
    "least-confidence": ("logits", lambda row: 1 - probabilities(row)[0]),
    "entropy": ("logits", lambda row: -sum(p * math.log(p) for p in probabilities(row))),
    "margin": ("logits", lambda row: 1 - (probabilities(row)[0] - probabilities(row)[1])),
    "el2n": ("logit_gradients", lambda row: math.sqrt(sum(value**2 for value in row))),
    "grand": ("gradient_norms", lambda value: value),
    "deepfool": ("boundary_distances", lambda value: -value),
    "forgetting": ("forgetting_events", lambda value: value),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_picks_and_gains_against_the_plain_formula(pool, name):
    signal, formula = FORMULAS[name]
    expected = [formula(row) for row in pool.signal(signal).tolist()]
    coreset = select(name, pool, 50)
    gains = [expected[row] for row in coreset.indices.tolist()]
    assert gains == sorted(gains, reverse=True)
    assert coreset.gains.tolist() == pytest.approx(gains, rel=1e-6)


@pytest.mark.parametrize("name", ["least-confidence", "margin", "entropy"])
def test_saturated_rows_still_have_an_order(name):
    # The largest probability rounds to 1 in all of them, and others are exactly 0.
    logits = torch.tensor([[900.0, 0, 0], [60, 0, 0], [80, 0, 0], [50, 0, 0]], dtype=torch.float64)
    coreset = select(name, Pool(logits=logits), 4)
    assert coreset.indices.tolist() == [3, 1, 2, 0]
    assert torch.isfinite(coreset.gains).all()


def test_rows_are_scored_alike_in_small_blocks(pool, monkeypatch):
    whole = select("margin", pool, 50)
    monkeypatch.setattr("clcore.ranking.BLOCK_NUMBERS", 9)
    blocks = select("margin", pool, 50)
    assert torch.equal(whole.indices, blocks.indices)
    assert torch.equal(whole.gains, blocks.gains)


@pytest.mark.parametrize("name", ["entropy", "contextual-diversity", "margin"])
def test_one_class_is_refused(name):
    with pytest.raises(SignalError, match="two classes"):
        select(name, Pool(logits=torch.randn(5)), 2)


def test_top_k_by_any_signal_both_ways(pool):
    losses = pool.signal("losses")
    highest = select("top-k", pool, 5, by="losses").indices
    lowest = select("top-k", pool, 5, by="losses", higher_is_better=False).indices
    assert highest.tolist() == losses.topk(5).indices.tolist()
    assert lowest.tolist() == losses.topk(5, largest=False).indices.tolist()


def test_top_k_refuses_what_is_not_one_number_a_row(pool):
    with pytest.raises(SignalError, match="one number a row"):
        select("top-k", pool, 5, by="logits")
    with pytest.raises(SignalError, match="needs the signal 'scores'"):
        select("top-k", pool, 5)
    with pytest.raises(ArgumentError, match="name of a signal"):
        select("top-k", pool, 5, by=3)


def test_large_integers_are_not_rounded_into_ties():
    counts = torch.tensor([2**24, 2**24 + 1, 2**24 - 1])
    assert select("top-k", Pool(scores=counts), 3).indices.tolist() == [1, 0, 2]


def test_ties_go_to_the_lowest_row_or_to_chance():
    scores = torch.tensor([1.0, 2, 1, 2, 1, 2, 1, 1])
    pool = Pool(scores=scores)
    assert select("top-k", pool, 6).indices.tolist() == [1, 3, 5, 0, 2, 4]
    drawn = {
        tuple(select("top-k", pool, 4, seed=seed, ties="random").indices.tolist())
        for seed in range(20)
    }
    assert len(drawn) > 10
    assert all(set(picks[:3]) == {1, 3, 5} for picks in drawn)
    with pytest.raises(ArgumentError, match="ties"):
        select("top-k", pool, 1, ties="last")


def test_forgetting_does_not_leave_labels_out_where_nothing_was_forgotten():
    pool = Pool(forgetting_events=torch.zeros(1000), labels=torch.arange(1000) // 100)
    picks = select("forgetting", pool, 100).indices
    assert torch.bincount(pool.labels[picks], minlength=10).min() > 0
    first = select("forgetting", pool, 100, ties="first").indices
    assert first.tolist() == list(range(100))


@pytest.mark.parametrize("k", [1, 7, 10, 23])
def test_per_label_shares_are_webster_s_and_the_best_of_each_label(k):
    labels = torch.tensor([0] * 20 + [1] * 7 + [2] * 3)
    scores = torch.randn(30, generator=torch.Generator().manual_seed(1))
    picks = select("top-k", Pool(scores=scores, labels=labels), k, per_label=True).indices
    counts = torch.bincount(labels[picks], minlength=3).tolist()
    # Webster by the book: each seat to the largest size / (2 seats + 1).
    seats, sizes = [0, 0, 0], [20, 7, 3]
    for _ in range(k):
        quotients = [size / (2 * seat + 1) for size, seat in zip(sizes, seats, strict=True)]
        seats[quotients.index(max(quotients))] += 1
    assert counts == seats
    for label in range(3):
        rows = (labels == label).nonzero().squeeze(1)
        best = rows[scores[rows].argsort(descending=True)][: counts[label]]
        assert sorted(best.tolist()) == sorted(picks[labels[picks] == label].tolist())


def test_per_label_needs_labels():
    with pytest.raises(ArgumentError, match="per_label needs a pool with labels"):
        select("top-k", Pool(scores=torch.randn(4)), 2, per_label=True)


def test_given_rows_count_for_their_label():
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    pool = Pool(scores=torch.arange(8.0), labels=labels)
    picks = select("top-k", pool, 4, per_label=True, given=[4, 5]).indices
    assert labels[picks].tolist().count(0) == 3
