"""Random: uniform, with and without quotas."""

import torch

from clcore import Pool, select


def test_every_row_is_as_likely():
    pool = Pool(labels=torch.zeros(6).long())
    generator = torch.Generator().manual_seed(0)
    counts = torch.zeros(6)
    for _ in range(1500):
        counts[select("random", pool, 2, generator=generator).indices] += 1
    assert torch.allclose(counts / 1500, torch.full((6,), 1 / 3), atol=0.05)


def test_within_a_quota_every_row_is_as_likely():
    pool = Pool(labels=[0, 0, 0, 1])
    generator = torch.Generator().manual_seed(0)
    counts = torch.zeros(4)
    for _ in range(1500):
        picks = select("random", pool, 4, quotas={0: 1}, generator=generator).indices
        counts[picks] += 1
    assert counts[3] == 1500
    assert torch.allclose(counts[:3] / 1500, torch.full((3,), 1 / 3), atol=0.05)


def test_needs_no_signal_and_computes_none():
    coreset = select("random", Pool(labels=[1, 2, 3]), 2)
    assert coreset.cost.distance_evaluations == 0
    assert coreset.weights.tolist() == [1, 1]
