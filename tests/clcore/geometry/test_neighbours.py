"""Neighbour graphs against all distances."""

import numpy as np
import pytest
import torch

from clcore import ArgumentError
from clcore.geometry.neighbours import coverers, nearest_neighbours


def make(n=400, d=5):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(0))


def test_flat_is_exact():
    x = make()
    squared, rows, evaluations = nearest_neighbours(x, 6, index="flat")
    exact = torch.cdist(x.double(), x.double()).square().topk(6, largest=False)
    np.testing.assert_allclose(squared, exact.values.numpy(), atol=1e-4)
    assert (rows == exact.indices.numpy()).mean() > 0.99
    assert evaluations == 400 * 400


@pytest.mark.parametrize("index", ["ivf", "hnsw"])
def test_approximate_indices_find_most(index):
    x = make(3000, 5)
    _, exact, _ = nearest_neighbours(x, 10, index="flat")
    _, rows, _ = nearest_neighbours(x, 10, index=index)
    found = [len(set(a) & set(b)) for a, b in zip(exact.tolist(), rows.tolist(), strict=True)]
    assert np.mean(found) > 8


def test_the_graph_turned_round_lists_who_can_be_covered():
    x = make(50)
    _, rows, _ = nearest_neighbours(x, 4)
    graph = coverers(x, 4)
    for u in range(50):
        entries = graph.rows[graph.starts[u] : graph.starts[u + 1]].tolist()
        expected = {row for row in range(50) if u in rows[row]} | {u}
        assert len(entries) == len(set(entries))
        assert set(entries) == expected


def test_copies_crowding_a_row_out_leave_it_its_own():
    graph = coverers(torch.zeros(30, 2), 3)
    for u in range(30):
        assert u in graph.rows[graph.starts[u] : graph.starts[u + 1]]


def test_wrong_arguments_are_named():
    with pytest.raises(ArgumentError, match="index"):
        nearest_neighbours(make(), 3, index="tree")
    with pytest.raises(ArgumentError, match="neighbours"):
        nearest_neighbours(make(), 0)
