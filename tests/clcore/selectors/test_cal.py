"""CAL against a plain loop; which rows are neighbours."""

import math

import pytest
import torch

from clcore import ArgumentError, Pool, select
from clcore.selectors import _neighbours
from clcore.selectors._neighbours import nearest_rows


def example(rows=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Pool(
        features=torch.randn(rows, 3, generator=generator, dtype=torch.float64),
        logits=torch.randn(rows, 4, generator=generator, dtype=torch.float64),
        labels=torch.arange(rows) % 4,
    )


def slow(pool, count, among=None, symmetric=False):
    x, p = pool.signal("features"), pool.signal("logits").softmax(dim=1).tolist()
    scores = []
    for row in range(len(p)):
        others = list(range(len(p)) if among is None else among)
        if among is None:
            others.remove(row)
        others.sort(key=lambda other: float((x[row] - x[other]).norm()))
        total = 0.0
        for other in others[:count]:
            pairs = list(zip(p[other], p[row], strict=True))
            forward = sum(q * math.log(q / r) for q, r in pairs)
            backward = sum(r * math.log(r / q) for q, r in pairs)
            total += (forward + backward) / 2 if symmetric else forward
        scores.append(total / len(others[:count]))
    return scores


@pytest.mark.parametrize("options", [{}, {"neighbours": 3}, {"divergence": "symmetric"}])
def test_against_a_plain_loop(options):
    pool = example()
    coreset = select("cal", pool, 40, **options)
    scores = slow(pool, options.get("neighbours", 10), symmetric="divergence" in options)
    assert coreset.indices.tolist() == sorted(range(40), key=lambda row: -scores[row])
    assert coreset.gains.tolist() == pytest.approx(sorted(scores, reverse=True))


def test_given_rows_are_the_neighbours():
    pool, given = example(), [1, 5, 8, 13]
    scores = slow(pool, 10, among=given)
    coreset = select("cal", pool, 10, given=given)
    order = [row for row in sorted(range(40), key=lambda row: -scores[row]) if row not in given]
    assert coreset.indices.tolist() == order[:10]
    offline = select("cal", pool, 40, given=given, among="pool").indices.tolist()
    scores = slow(pool, 10)
    order = [row for row in sorted(range(40), key=lambda row: -scores[row]) if row not in given]
    assert offline == order


def test_what_is_refused_and_a_single_row():
    with pytest.raises(ArgumentError, match="given"):
        select("cal", example(), 3, among="given")
    with pytest.raises(ArgumentError, match="neighbours"):
        select("cal", example(), 3, neighbours=0)
    assert select("cal", example(1), 1).gains.tolist() == [0.0]


def test_saturated_predictions_give_finite_scores():
    logits = torch.tensor([[900.0, 0], [0, 900.0], [900.0, 0]])
    gains = select("cal", Pool(features=torch.eye(3), logits=logits), 3).gains
    assert torch.isfinite(gains).all()


@pytest.mark.parametrize("own", [True, False])
def test_nearest_rows_in_small_blocks_against_all_pairs(monkeypatch, own):
    monkeypatch.setattr(_neighbours, "BLOCK_BYTES", 1000)
    generator = torch.Generator().manual_seed(0)
    # Far from the origin, where the expansion of the square would lose everything.
    x = 1e4 + torch.randn(50, 5, generator=generator)
    others = None if own else x[:20] + 0.1
    distances, places = nearest_rows(x, 4, others)
    pairs = torch.cdist(x.double(), (x if own else others).double())
    if own:
        pairs.fill_diagonal_(torch.inf)
    expected, where = pairs.topk(4, largest=False)
    assert torch.equal(places, where)
    assert torch.allclose(distances.double().sqrt(), expected, rtol=1e-3)
