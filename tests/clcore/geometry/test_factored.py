"""Factored gradients against the multiplied-out ones in double precision."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clcore import ArgumentError
from clcore.geometry import farthest_first
from clcore.geometry.factored import FactoredPoints
from clcore.quotas import Allowance


def factors(n, classes, d, seed, kind=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    errors = torch.randn(n, classes, generator=generator, dtype=torch.float64)
    features = torch.randn(n, d, generator=generator, dtype=torch.float64) + 2
    return errors.to(kind), features.to(kind)


def multiplied(errors, features, bias):
    errors, features = errors.double(), features.double()
    if bias:
        features = torch.cat([features, torch.ones(len(features), 1, dtype=torch.float64)], dim=1)
    return torch.einsum("nc,nd->ncd", errors, features)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    st.integers(1, 20), st.integers(1, 6), st.integers(1, 6), st.booleans(), st.integers(0, 9),
    st.sampled_from([torch.float32, torch.float64]),
)  # fmt: skip
def test_is_the_multiplied_out_form(n, classes, d, bias, seed, kind):
    errors, features = factors(n, classes, d, seed, kind)
    points = FactoredPoints(errors, features, bias=bias)
    plain = multiplied(errors, features, bias)
    flat = plain.reshape(n, -1)
    rows = torch.randperm(n, generator=torch.Generator().manual_seed(seed))[: n // 2 + 1]
    near = {"atol": 2e-3, "rtol": 1e-4} if kind == torch.float32 else {"atol": 1e-10, "rtol": 1e-10}

    def close(ours, expected):
        return torch.allclose(ours.double(), expected, **near)

    assert len(points) == n
    assert points.shape == tuple(plain.shape[1:])
    distances = (flat[rows][:, None] - flat[None]).square().sum(dim=2)
    assert close(points.to_rows(rows), distances)
    for place, row in enumerate(rows.tolist()):
        assert close(points.to_row(row), distances[place])
        assert close(points.to_row(rows[place : place + 1]), distances[place])
        assert points.to_row(row)[row] == 0
    assert bool((points.to_rows(rows) >= 0).all())
    least, place = points.nearest(rows)
    assert close(least, distances.min(dim=0).values)
    assert close(distances.gather(0, place[None])[0], distances.min(dim=0).values)
    assert close(points.inner_products(rows), flat[rows] @ flat.t())
    assert torch.allclose(points.pairs(rows, rows), flat[rows] @ flat[rows].t(), rtol=1e-9)
    assert close(points.squares, flat.square().sum(dim=1))
    assert close(points.to_centre(), (flat - flat.mean(dim=0)).square().sum(dim=1))
    weights = torch.linspace(0, 3, n).double()
    sums = points.sums(weights)
    assert torch.allclose(sums, (plain * weights[:, None, None]).sum(dim=0), rtol=1e-9, atol=1e-9)
    some = points.sums(weights[rows], rows)
    expected = (plain[rows] * weights[rows][:, None, None]).sum(dim=0)
    assert torch.allclose(some, expected, rtol=1e-9, atol=1e-9)
    assert close(points.times(sums), (plain * sums).sum(dim=(1, 2)))
    part = points.part(rows)
    assert torch.equal(part.squares, points.squares[rows])
    assert close(part.to_row(0), distances[0][rows])


def test_without_features_it_is_the_errors_alone():
    errors, _ = factors(12, 5, 1, 0)
    points = FactoredPoints(errors)
    rows = torch.tensor([3, 7])
    assert points.shape == (5, 1)
    assert torch.allclose(points.to_rows(rows), torch.cdist(errors[rows], errors) ** 2)
    assert torch.allclose(points.to_row(3), points.to_rows(rows)[0])
    assert torch.allclose(points.inner_products(rows), errors[rows] @ errors.t())
    assert torch.allclose(points.sums(torch.ones(12)).squeeze(1), errors.sum(dim=0))
    assert torch.allclose(points.times(points.sums(torch.ones(12))), errors @ errors.sum(dim=0))
    assert torch.allclose(points.squares, errors.square().sum(dim=1))


def test_copies_are_at_distance_zero():
    errors, features = factors(7, 10, 65, 1, torch.float32)
    points = FactoredPoints(torch.cat([errors, errors]), 100 * torch.cat([features, features]))
    squared = points.to_rows(torch.arange(14))
    assert squared[torch.arange(14), (torch.arange(14) + 7) % 14].max() == 0
    assert all(points.to_row(row)[(row + 7) % 14] == 0 for row in range(14))


def test_near_rows_far_from_the_origin_keep_their_distance():
    # The plain expansion has nothing left of these distances in single precision.
    generator = torch.Generator().manual_seed(0)
    errors = torch.randn(1, 4, generator=generator).repeat(6, 1)
    features = 300 + 1e-2 * torch.randn(6, 8, generator=generator)
    points, plain = FactoredPoints(errors, features), multiplied(errors, features, True)
    flat = plain.reshape(6, -1)
    expected = (flat[:, None] - flat[None]).square().sum(dim=2)
    assert torch.allclose(points.to_rows(torch.arange(6)).double(), expected, rtol=0.02, atol=1e-7)


def test_products_and_sums_work_in_blocks(monkeypatch):
    errors, features = factors(40, 3, 5, 2)
    matrix = torch.randn(3, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    points, weights = FactoredPoints(errors, features), torch.linspace(0, 1, 40)
    whole = points.times(matrix), points.sums(weights), points.nearest(torch.arange(9))
    monkeypatch.setattr("clcore.geometry.factored.BLOCK_BYTES", 2 * 8 * 9 * 7)
    again = points.times(matrix), points.sums(weights), points.nearest(torch.arange(9))
    assert torch.allclose(whole[0], again[0])
    assert torch.allclose(whole[1], again[1])
    assert torch.allclose(whole[2][0], again[2][0])
    assert torch.equal(whole[2][1], again[2][1])


def test_takes_the_place_of_points():
    errors, features = factors(15, 3, 4, 3)
    points, flat = FactoredPoints(errors, features), multiplied(errors, features, True).flatten(1)
    given = torch.tensor([0])
    allowance = Allowance(15, points.device, given=given)
    found = farthest_first(points, 5, allowance=allowance, given=given)
    taken = [0]
    for _ in range(5):
        taken.append(int(torch.cdist(flat, flat[taken]).min(dim=1).values.argmax()))
    assert found.rows.tolist() == taken[1:]


def test_counts_evaluations():
    points = FactoredPoints(*factors(10, 2, 3, 0))
    points.to_row(0)
    points.to_rows(torch.tensor([1, 2]))
    points.inner_products(torch.tensor([4]))
    assert points.evaluations == 40


@pytest.mark.parametrize(
    ("features", "words"), [(torch.ones(3, 2), "rows"), (torch.ones(4, 2).double(), "must agree")]
)
def test_refuses_factors_that_disagree(features, words):
    with pytest.raises(ArgumentError, match=words):
        FactoredPoints(torch.ones(4, 2), features)


def test_has_no_rows_or_columns():
    points = FactoredPoints(torch.ones(4, 2), torch.ones(4, 3))
    with pytest.raises(TypeError, match="no columns"):
        _ = points.columns
    with pytest.raises(TypeError, match="no rows"):
        points.safe_rows()
