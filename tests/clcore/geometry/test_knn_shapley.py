"""KNN-Shapley values against the definition: marginal gains over all subsets."""

from itertools import combinations
from math import comb

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clcore.errors import ArgumentError, SignalError
from clcore.geometry import knn_shapley as module
from clcore.geometry.knn_shapley import knn_shapley, mean_knn_shapley


def utility(members, order, labels, label, k):
    nearest = [row for row in order if row in members][:k]
    return sum(labels[row] == label for row in nearest) / k


def by_definition(candidates, labels, points, point_labels, k):
    n = len(candidates)
    values = torch.zeros(len(points), n, dtype=torch.float64)
    for e, (point, label) in enumerate(zip(points, point_labels.tolist(), strict=True)):
        order = (candidates - point).square().sum(1).argsort(stable=True).tolist()
        for row in range(n):
            others = [other for other in range(n) if other != row]
            for size in range(n):
                for subset in combinations(others, size):
                    gain = utility({*subset, row}, order, labels.tolist(), label, k)
                    gain -= utility(set(subset), order, labels.tolist(), label, k)
                    values[e, row] += gain / (n * comb(n - 1, size))
    return values


@settings(derandomize=True, deadline=None, max_examples=15)
@given(
    n=st.sampled_from([1, 2, 4, 8]),
    k=st.integers(1, 9),
    classes=st.integers(1, 3),
    seed=st.integers(0, 10**6),
)
def test_same_as_all_subsets_with_ties(n, k, classes, seed):
    generator = torch.Generator().manual_seed(seed)
    # Small whole numbers, and as many as make their mean exact: equal distances stay equal.
    candidates = torch.randint(-2, 3, (n, 2), generator=generator).double()
    points = torch.randint(-2, 3, (2, 2), generator=generator).double()
    labels = torch.randint(classes, (n,), generator=generator)
    point_labels = torch.randint(classes, (2,), generator=generator)
    values = knn_shapley(candidates, labels, points, point_labels, k)
    expected = by_definition(candidates, labels, points, point_labels, k)
    torch.testing.assert_close(values, expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("n", [3, 5, 8])
def test_same_as_all_subsets_without_ties(n):
    generator = torch.Generator().manual_seed(3)
    candidates = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    points = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    labels, point_labels = torch.arange(n) % 3, torch.tensor([0, 1, 2, 7])
    for k in (1, 3, 8, 20):
        values = knn_shapley(candidates, labels, points, point_labels, k)
        expected = by_definition(candidates, labels, points, point_labels, k)
        torch.testing.assert_close(values, expected, atol=1e-12, rtol=0)
        assert not values[3].any()


@settings(derandomize=True, deadline=None, max_examples=15)
@given(n=st.integers(1, 300), k=st.integers(1, 20), seed=st.integers(0, 10**6))
def test_values_sum_to_the_utility_of_all(n, k, seed):
    generator = torch.Generator().manual_seed(seed)
    candidates, points = (torch.randn(m, 4, generator=generator) for m in (n, 9))
    labels, point_labels = (torch.randint(4, (m,), generator=generator) for m in (n, 9))
    values = knn_shapley(candidates, labels, points, point_labels, k)
    nearest = torch.cdist(points.double(), candidates.double()).argsort(dim=1)[:, :k]
    hits = (labels[nearest] == point_labels[:, None]).sum(1) / k
    torch.testing.assert_close(values.sum(1), hits.double(), atol=1e-12, rtol=1e-6)


def test_order_of_candidates_and_blocks_change_nothing(monkeypatch):
    generator = torch.Generator().manual_seed(1)
    candidates, points = (torch.randn(m, 5, generator=generator) for m in (60, 33))
    labels, point_labels = (torch.randint(3, (m,), generator=generator) for m in (60, 33))
    values = knn_shapley(candidates, labels, points, point_labels)
    shuffled = torch.randperm(60, generator=generator)
    other = knn_shapley(candidates[shuffled], labels[shuffled], points, point_labels)
    torch.testing.assert_close(other, values[:, shuffled], atol=1e-12, rtol=0)
    monkeypatch.setattr(module, "BLOCK_BYTES", 60 * 8 * 6 * 4)  # four points at a time
    blocks = list(module.knn_shapley_blocks(candidates, labels, points, point_labels))
    assert [len(block) for block in blocks] == [4] * 8 + [1]
    torch.testing.assert_close(torch.cat(blocks), values, atol=1e-12, rtol=0)
    mean = mean_knn_shapley(candidates, labels, points, point_labels)
    torch.testing.assert_close(mean, values.mean(0), atol=1e-12, rtol=0)


def test_features_far_from_the_origin_and_of_further_dimensions():
    generator = torch.Generator().manual_seed(1)
    candidates = torch.randn(50, 2, 3, generator=generator)
    points = torch.randn(20, 2, 3, generator=generator)
    labels, point_labels = torch.arange(50) % 4, torch.arange(20) % 4
    near = knn_shapley(candidates, labels, points, point_labels)
    far = knn_shapley(candidates.double() + 1e6, labels, points.double() + 1e6, point_labels)
    torch.testing.assert_close(near, far, atol=1e-12, rtol=0)


def test_no_points():
    values = knn_shapley(torch.rand(3, 2), torch.arange(3), torch.rand(0, 2), torch.arange(0))
    assert values.shape == (0, 3)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"k": 0}, ArgumentError, "k must be"),
        ({"candidates": torch.rand(0, 2), "labels": torch.arange(0)}, ArgumentError, "candidates"),
        ({"points": torch.rand(2, 5)}, ArgumentError, "points: rows have 5 features"),
        ({"labels": torch.arange(4)}, ArgumentError, "labels has 4 rows"),
        ({"point_labels": torch.rand(2)}, ArgumentError, "point_labels must be integers"),
        ({"points": torch.full((2, 2), torch.nan)}, SignalError, "'points' holds NaN"),
    ],
)
def test_wrong_arguments(change, error, message):
    given = {
        "candidates": torch.rand(3, 2),
        "labels": torch.arange(3),
        "points": torch.rand(2, 2),
        "point_labels": torch.arange(2),
    }
    with pytest.raises(error, match=message):
        knn_shapley(**{**given, **change})


def test_a_mean_over_no_points():
    with pytest.raises(ArgumentError, match="points: there are none"):
        mean_knn_shapley(torch.rand(3, 2), torch.arange(3), torch.rand(0, 2), torch.arange(0))
