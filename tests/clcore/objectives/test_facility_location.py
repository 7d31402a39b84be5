"""Facility location against sums written out."""

import pytest
import torch

from clcore import ArgumentError, Pool
from clcore.objectives.facility_location import FacilityLocation


def make(n=30, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 4, generator=generator, dtype=torch.float64)
    w = torch.rand(n, generator=generator, dtype=torch.float64) + 0.1
    return Pool(features=x.to(dtype), weights=w.to(dtype))


def distances(x, metric):
    if metric == "cosine":
        x = x / x.norm(dim=1, keepdim=True)
        return 1 - x @ x.t()
    away = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
    return away**2 if metric == "squared" else away


@pytest.mark.parametrize("metric", ["euclidean", "squared", "cosine"])
def test_value_falls_short_of_the_ceiling_by_the_distances(metric):
    pool = make()
    away = distances(pool.signal("features"), metric)
    objective = FacilityLocation(pool, metric=metric)
    objective.add(torch.tensor([2, 7, 11]))
    short = float(away[[2, 7, 11]].min(dim=0).values @ pool.weights)
    assert objective.ceiling() - objective.value() == pytest.approx(short, rel=1e-6)
    best = away[[2, 7, 11]].min(dim=0).values
    expected = (best - away).clamp_min(0) @ pool.weights
    torch.testing.assert_close(objective.gains(torch.arange(30)), expected, atol=1e-6, rtol=1e-6)


def test_the_first_gains_order_rows_by_their_distance_to_all():
    pool = make()
    away = distances(pool.signal("features"), "euclidean")
    gains = FacilityLocation(pool).gains(torch.arange(30))
    assert torch.equal(gains.argsort(descending=True), (away @ pool.weights).argsort())


def test_weights_are_the_sizes_of_the_cells_with_given_rows_and_ties():
    x = torch.tensor([[0.0], [0.0], [1.0], [5.0], [6.0], [3.4]])
    objective = FacilityLocation(Pool(features=x))
    objective.start(torch.tensor([2]))
    objective.add(torch.tensor([0, 1, 4]))
    # Row 2 was given and still counts with a pick; row 1 is a copy of the earlier pick 0.
    assert objective.weights(torch.tensor([0, 1, 4])).tolist() == [3.0, 0.0, 3.0]


def test_single_precision_sums_stay_exact_over_many_rows():
    generator = torch.Generator().manual_seed(1)
    x = 100 + torch.rand(60_000, 2, generator=generator)
    single, double = (
        FacilityLocation(Pool(features=kind)).gains(torch.tensor([0, 1]))
        for kind in (x, x.double())
    )
    torch.testing.assert_close(single, double, rtol=1e-6, atol=0)


def test_an_unknown_metric_is_named():
    with pytest.raises(ArgumentError, match="metric"):
        FacilityLocation(make(), metric="manhattan")
