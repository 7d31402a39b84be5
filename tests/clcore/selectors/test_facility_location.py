"""Facility location by name: its figures, its ways and its options."""

import pytest
import torch

from clcore import ArgumentError, Pool, select
from clcore.objectives.facility_location import FacilityLocation
from clcore.selectors import create
from clcore.testing import check_selector


@pytest.fixture(scope="module")
def clusters():
    """Make 5,000 rows of 100 Gaussian clusters that overlap, in 64 dimensions."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(100, 64, generator=generator)
    sizes = torch.rand(100, generator=generator) + 0.05
    spreads = 0.8 * torch.rand(100, generator=generator) + 0.3
    which = torch.multinomial(sizes, 5000, replacement=True, generator=generator)
    noise = torch.randn(5000, 64, generator=generator)
    return centres[which] + noise * spreads[which, None]


def mean_distance(x, picks):
    return float(torch.cdist(x, x[picks]).min(dim=1).values.mean())


def test_expected_numbers(clusters):
    pool = Pool(features=clusters)
    exact = select("facility-location", pool, 500)
    assert mean_distance(clusters, exact.indices) == pytest.approx(5.948, abs=0.003)
    random = select("random", pool, 500)
    assert mean_distance(clusters, random.indices) == pytest.approx(6.58, abs=0.02)
    graph = select("facility-location", pool, 500, neighbours=50)
    assert mean_distance(clusters, graph.indices) < 5.95
    medoids = select("k-medoids", pool, 50)
    assert mean_distance(clusters, medoids.indices) == pytest.approx(7.870, abs=0.003)
    build = select("facility-location", pool, 50)
    assert mean_distance(clusters, build.indices) == pytest.approx(7.906, abs=0.003)


@pytest.mark.parametrize(
    "options",
    [
        {"neighbours": None},
        {"neighbours": None, "metric": "cosine"},
        {"neighbours": None, "metric": "squared"},
        {"neighbours": 6},
        {"maximiser": "plain"},
    ],
)
def test_contracts(options):
    check_selector(create("facility-location", **options))


def test_exact_picks_do_not_depend_on_the_way():
    x = torch.randn(200, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pool = Pool(features=x, weights=torch.rand(200, generator=torch.Generator().manual_seed(1)))
    compiled = select("facility-location", pool, 40, given=[7, 8])
    plain = select("facility-location", pool, 40, given=[7, 8], maximiser="plain")
    assert compiled.indices.tolist() == plain.indices.tolist()
    assert compiled.gains.tolist() == pytest.approx(plain.gains.tolist(), rel=1e-5)
    assert compiled.weights.tolist() == pytest.approx(plain.weights.tolist())


def test_the_report_is_the_value():
    x = torch.randn(300, 5, generator=torch.Generator().manual_seed(0))
    pool = Pool(features=x)
    for options in ({}, {"neighbours": 10}):
        answer = select("facility-location", pool, 25, **options)
        value = FacilityLocation(pool).evaluate(answer.indices)
        assert answer.report["value"] == pytest.approx(value, rel=1e-6)
        assert float(answer.gains.sum()) == pytest.approx(value, rel=1e-6)
    assert {"graph_value", "blind"} <= set(answer.report)


def test_wrong_options_are_named():
    for options, word in (
        ({"neighbours": 1}, "neighbours"),
        ({"neighbours": "all"}, "neighbours"),
        ({"index": "tree"}, "index"),
        ({"metric": "l1"}, "metric"),
    ):
        with pytest.raises(ArgumentError, match=word):
            create("facility-location", **options)
    with pytest.raises(ArgumentError, match="neighbours=5"):
        select("facility-location", Pool(features=torch.eye(9)), 2, neighbours=5, maximiser="plain")
    assert not create("facility-location").greedy
    assert create("facility-location", neighbours=None).greedy
