import torch
from hypothesis import given
from hypothesis import strategies as st

from strategies.offline.frequencies import drawn_by_weight


def mean_one(values):
    weights = torch.tensor(values, dtype=torch.float64)
    return (weights / weights.mean()).float()


@given(
    st.lists(st.floats(0, 1000), min_size=1, max_size=60).filter(lambda values: sum(values) > 1e-3),
    st.integers(0, 2**20),
)
def test_each_row_comes_as_often_as_it_weighs_but_for_less_than_one(values, seed):
    weights = mean_one(values)
    drawn = drawn_by_weight(weights, torch.Generator().manual_seed(seed))
    counts = torch.bincount(drawn, minlength=len(weights))
    assert len(drawn) == len(weights) == int(counts.sum())
    assert bool(((counts - weights).abs() < 1 + 1e-4).all())
    assert not bool(counts[weights == 0].any())


def test_the_mean_count_is_the_weight():
    weights = mean_one([0.2, 3.0, 1.1, 0.0, 0.7])
    generator = torch.Generator().manual_seed(0)
    counts = torch.zeros(5)
    for _ in range(4000):
        counts += torch.bincount(drawn_by_weight(weights, generator), minlength=5)
    torch.testing.assert_close(counts / 4000, weights, atol=0.03, rtol=0)


def test_even_weights_give_each_row_once():
    drawn = drawn_by_weight(torch.ones(1000), torch.Generator().manual_seed(5))
    assert sorted(drawn.tolist()) == list(range(1000))
    assert drawn.tolist() != list(range(1000))
