"""Gumbel-top-k: the distribution of sequential drawing, inclusion weights, zero weights."""

from itertools import permutations

import pytest
import torch

from clcore import ArgumentError, Pool, SignalError, select
from clcore.selectors import create

WEIGHTS = torch.tensor([1.0, 2, 3, 4, 6])


def sequences(k):
    """Return the probability of every sequence of k draws without replacement."""
    chances = {}
    for order in permutations(range(5), k):
        left, chance = float(WEIGHTS.sum()), 1.0
        for row in order:
            chance *= float(WEIGHTS[row]) / left
            left -= float(WEIGHTS[row])
        chances[order] = chance
    return chances


@pytest.mark.parametrize(
    ("scores", "options"),
    [
        (WEIGHTS, {"scale": "linear"}),
        (WEIGHTS.log(), {}),
        (3 * WEIGHTS.log(), {"temperature": 3.0}),
    ],
)
def test_sequences_come_as_often_as_in_sequential_drawing(scores, options):
    method = create("importance-resampling", **options)
    pool, generator = Pool(scores=scores), torch.Generator().manual_seed(0)
    draws = 3000
    seen = dict.fromkeys(sequences(2), 0)
    for _ in range(draws):
        picks = method.select(pool, 2, generator=generator).indices.tolist()
        seen[tuple(picks)] += 1
    expected = {order: draws * chance for order, chance in sequences(2).items()}
    square = sum((seen[order] - count) ** 2 / count for order, count in expected.items())
    assert square < 43.8, "chi-square of 19 degrees of freedom, 0.1 % level"


def test_weights_of_zero_are_picked_last_and_at_random():
    scores = torch.tensor([0.0, 5, 0, 1, 0, 0])
    pool = Pool(scores=scores)
    orders = [
        select("importance-resampling", pool, 6, scale="linear", seed=s).indices.tolist()
        for s in range(20)
    ]
    assert all(set(order[:2]) == {1, 3} for order in orders)
    assert len({tuple(order[2:]) for order in orders}) > 5


def test_inclusion_weights_estimate_the_mean_of_the_pool():
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(400, generator=generator, dtype=torch.float64)
    pool = Pool(scores=2 * values, values=values)
    weighted = create("importance-resampling", inclusion_weights=True)
    means, plain = [], []
    for _ in range(200):
        coreset = weighted.select(pool, 60, generator=generator)
        means.append(float((coreset.weights * values[coreset.indices]).sum()) / 400)
        plain.append(float(values[coreset.indices].mean()))
    truth = float(values.mean())
    assert sum(means) / 200 == pytest.approx(truth, abs=0.01)
    assert sum(plain) / 200 > truth + 0.07


def test_inclusion_weights_sum_to_the_pool_under_quotas_and_at_the_end():
    generator = torch.Generator().manual_seed(0)
    pool = Pool(
        scores=torch.randn(40, generator=generator),
        labels=torch.arange(40) % 2,
        weights=torch.rand(40, generator=generator),
    )
    total = float(pool.weights.sum())
    for k, quotas in ((7, None), (40, None), (12, {0: 3}), (3, {0: 0})):
        coreset = select("importance-resampling", pool, k, quotas=quotas, inclusion_weights=True)
        assert float(coreset.weights.sum()) == pytest.approx(total, rel=1e-5)
    everything = select("importance-resampling", pool, 40, inclusion_weights=True)
    assert torch.allclose(everything.weights, pool.weights[everything.indices].double())


def test_low_temperature_is_top_k():
    scores = torch.randn(50, generator=torch.Generator().manual_seed(2))
    picks = select("importance-resampling", Pool(scores=scores), 10, temperature=1e-6).indices
    assert picks.tolist() == scores.topk(10).indices.tolist()


def test_what_is_refused():
    with pytest.raises(SignalError, match="negative in row 1"):
        select("importance-resampling", Pool(scores=[1.0, -1.0]), 1, scale="linear")
    with pytest.raises(ArgumentError, match="temperature"):
        select("importance-resampling", Pool(scores=[1.0, -1.0]), 1, temperature=0)
    with pytest.raises(ArgumentError, match="scale"):
        select("importance-resampling", Pool(scores=[1.0, -1.0]), 1, scale="log")
