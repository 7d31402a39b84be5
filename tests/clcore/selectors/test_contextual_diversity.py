"""Contextual diversity against a plain loop over all pairs."""

import math

import pytest
import torch

from clcore import Pool, select


def divergence(p, q):
    return sum((a - b) * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True)) / 2


def example(rows=30, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(rows, 4, generator=generator, dtype=torch.float64)
    return Pool(logits=logits, labels=torch.arange(rows) % 3)


def slow(pool, k, given=(), rows=None):
    p = pool.signal("logits").softmax(dim=1).tolist()
    rows = list(range(len(p))) if rows is None else rows
    picks, gains = [], []
    while len(picks) < k:
        open_rows = [row for row in rows if row not in picks and row not in given]
        taken = [*given, *picks]
        if taken:
            away = {row: min(divergence(p[row], p[other]) for other in taken) for row in open_rows}
            pick = max(open_rows, key=away.__getitem__)
            gains.append(away[pick])
        else:
            total = {row: sum(divergence(p[row], p[other]) for other in rows) for row in open_rows}
            pick = min(open_rows, key=total.__getitem__)
            gains.append(0.0)
        picks.append(pick)
    return picks, gains


@pytest.mark.parametrize("given", [[], [4, 11]])
def test_against_all_pairs(given):
    pool = example()
    coreset = select("contextual-diversity", pool, 12, given=given)
    picks, gains = slow(pool, 12, given)
    assert coreset.indices.tolist() == picks
    assert coreset.gains.tolist() == pytest.approx(gains, abs=1e-10)


def test_each_label_on_its_own():
    pool = example()
    picks = select("contextual-diversity", pool, 12, per_label=True).indices
    for label in range(3):
        rows = (pool.labels == label).nonzero().squeeze(1).tolist()
        mine = [row for row in picks.tolist() if row in rows]
        assert mine == slow(pool, 4, rows=rows)[0]


def test_copies_are_at_no_distance_and_the_lowest_row_goes_first():
    logits = torch.tensor([[3.0, 0, -1], [0, 1, 0.3], [-2, 0.1, 4]]).double().repeat(4, 1)
    coreset = select("contextual-diversity", Pool(logits=logits), 12)
    assert sorted(coreset.indices[:3].tolist()) == [0, 1, 2]
    assert coreset.indices[3:].tolist() == list(range(3, 12))
    assert coreset.gains[3:].tolist() == [0.0] * 9


def test_saturated_predictions_have_finite_divergences():
    logits = torch.tensor([[2000.0, 0, 0], [0, 2000.0, 0], [0, 0, 2000.0], [1, 1, 1]])
    coreset = select("contextual-diversity", Pool(logits=logits), 4)
    assert torch.isfinite(coreset.gains).all()


def test_first_pick_drawn():
    pool = example()
    firsts = {
        int(select("contextual-diversity", pool, 1, seed=seed, first="random").indices)
        for seed in range(30)
    }
    assert len(firsts) > 10
