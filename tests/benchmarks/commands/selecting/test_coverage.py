import numpy as np
import torch

from benchmarks.commands.selecting.coverage import SAMPLE, coverage, sample


def test_distances_are_those_of_a_loop():
    rows = torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    picks, asked = torch.tensor([3, 40, 7]), torch.tensor([0, 3, 49, 12])
    found = coverage(rows, picks, asked)
    pairs = [[float((rows[row] - rows[pick]).norm()) for pick in picks] for row in asked]
    expected = np.min(pairs, axis=1)
    np.testing.assert_allclose(found.distances, expected, atol=1e-7)
    assert found.distances[1] == 0
    assert found.radius == max(found.distances)
    assert found.mean == found.distances.mean()
    assert found.within(float(found.distances[0])) == np.mean(expected <= expected[0] + 1e-9)


def test_far_from_the_origin_copies_are_at_distance_zero():
    found = coverage(torch.full((6, 3), 1e6), torch.tensor([0]), torch.arange(6))
    assert found.radius == 0


def test_large_pools_are_sampled_and_very_many_picks_more_so():
    assert sample(SAMPLE, 10, seed=0).tolist() == list(range(SAMPLE))
    some = sample(SAMPLE * 3, 10, seed=0)
    assert len(some) == SAMPLE
    assert torch.equal(some, some.unique())
    assert some.max() >= SAMPLE
    assert torch.equal(some, sample(SAMPLE * 3, 10, seed=0))
    assert not torch.equal(some, sample(SAMPLE * 3, 10, seed=1))
    assert len(sample(SAMPLE * 3, 50_000, seed=0)) == 4_000
    assert len(sample(SAMPLE * 3, 10**9, seed=0)) == 1_000
