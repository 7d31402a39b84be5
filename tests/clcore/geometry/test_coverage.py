"""The ways to cover, against plain greedy and against each other."""

import pytest
import torch

from clcore import Pool, Stop
from clcore.geometry import coverage_balls
from clcore.geometry.coverage import exact_coverage, plain_points
from clcore.geometry.coverage_balls import ball_coverage, pairs_within
from clcore.geometry.coverage_graph import graph_coverage
from clcore.maximisers import create
from clcore.objectives.facility_location import FacilityLocation
from clcore.objectives.kernel_coverage import KernelCoverage
from clcore.quotas import Allowance


def make(n, d=6, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    centres = 2 * torch.randn(12, d, generator=generator)
    which = torch.randint(12, (n,), generator=generator)
    x = centres[which] + torch.randn(n, d, generator=generator)
    return Pool(features=x.to(dtype), labels=which % 3)


def allowance(pool, quotas=None, given=None):
    keys = pool.labels if quotas else None
    return Allowance(len(pool), pool.device, keys=keys, quotas=quotas, given=given)


@pytest.mark.parametrize("rows", [300, 2500])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_exact_is_plain_greedy(rows, dtype):
    pool = make(rows, dtype=dtype)
    plain = create("plain").maximise(FacilityLocation(pool), 30, allowance=allowance(pool))
    objective = FacilityLocation(pool)
    found = exact_coverage(objective, 30, allowance=allowance(pool))
    assert found.rows == plain.rows
    assert found.gains == pytest.approx(plain.gains, rel=1e-5)
    assert objective.value() == pytest.approx(objective.evaluate(found.rows), rel=1e-6)


@pytest.mark.parametrize("kernel", ["rbf", "laplace", "student-t", "top-hat"])
def test_exact_is_plain_greedy_with_kernels_quotas_and_given(kernel):
    pool, quotas, given = make(300), {0: 3, 1: 9}, torch.tensor([4, 200])
    made = []
    for way in ("plain", "exact"):
        objective = KernelCoverage(pool, kernel, 1.5)
        objective.start(given)
        rules = allowance(pool, quotas, given)
        if way == "plain":
            made.append(create("plain").maximise(objective, 20, allowance=rules).gains)
        else:
            made.append(exact_coverage(objective, 20, allowance=rules).gains)
    assert made[0] == pytest.approx(made[1], rel=1e-4)


def test_stops_are_kept():
    pool = make(300)
    whole = exact_coverage(FacilityLocation(pool), 20, allowance=allowance(pool))
    least = whole.gains[7]
    found = exact_coverage(
        FacilityLocation(pool), 20, allowance=allowance(pool), stop=Stop(gain=least)
    )
    assert found.rows == whole.rows[:7]
    value = sum(whole.gains[:5])
    found = exact_coverage(
        FacilityLocation(pool), 20, allowance=allowance(pool), stop=Stop(value=value * 0.9999999)
    )
    assert found.rows == whole.rows[:5]


def test_the_graph_is_near_to_the_exact_greedy_and_its_gains_are_exact():
    pool = make(3000)
    exact = FacilityLocation(pool)
    exact_coverage(exact, 200, allowance=allowance(pool))
    objective = FacilityLocation(pool)
    cover = graph_coverage(objective, 200, allowance=allowance(pool), neighbours=32, index="ivf")
    lost = (objective.ceiling() - objective.value()) / (exact.ceiling() - exact.value())
    assert lost < 1.01
    assert sum(cover.picks.gains) == pytest.approx(objective.value(), rel=1e-6)
    assert objective.value() == pytest.approx(objective.evaluate(cover.picks.rows), rel=1e-6)
    assert cover.report["graph_value"] <= objective.value()
    assert 0 <= cover.report["blind"] < 0.2
    rows = torch.tensor(cover.picks.rows)
    squared, _ = plain_points(objective).nearest(rows)
    assert cover.place is not None
    own = plain_points(objective).to_rows(rows)[cover.place, torch.arange(3000)]
    torch.testing.assert_close(own, squared, atol=1e-3, rtol=1e-4)


def test_a_small_k_is_not_blind():
    pool = make(10_000)
    exact = FacilityLocation(pool)
    exact_coverage(exact, 6, allowance=allowance(pool))
    objective = FacilityLocation(pool)
    graph_coverage(objective, 6, allowance=allowance(pool), neighbours=16)
    lost = (objective.ceiling() - objective.value()) / (exact.ceiling() - exact.value())
    assert lost < 1.02


def test_the_graph_begins_alike_for_a_larger_k():
    pool = make(2000)
    made = [
        graph_coverage(FacilityLocation(pool), k, allowance=allowance(pool), neighbours=16)
        for k in (20, 61)
    ]
    assert made[1].picks.rows[:20] == made[0].picks.rows


def test_the_graph_keeps_quotas_given_and_stops():
    pool, given = make(1500), torch.tensor([3, 700])
    objective = FacilityLocation(pool)
    objective.start(given)
    rules = allowance(pool, {0: 4, 1: 2}, given)
    cover = graph_coverage(objective, 40, allowance=rules, neighbours=12)
    labels = pool.labels[torch.tensor(cover.picks.rows)]
    assert (int((labels == 0).sum()), int((labels == 1).sum())) == (4, 2)
    assert not {3, 700} & set(cover.picks.rows)
    whole = graph_coverage(FacilityLocation(pool), 40, allowance=allowance(pool), neighbours=12)
    target = sum(whole.picks.gains[:25]) * 0.9999999
    objective = FacilityLocation(pool)
    stopped = graph_coverage(
        objective, 40, allowance=allowance(pool), neighbours=12, stop=Stop(value=target)
    )
    assert stopped.picks.rows == whole.picks.rows[:25]
    assert objective.value() == pytest.approx(objective.evaluate(stopped.picks.rows))


def test_pairs_within_a_radius_are_all_pairs_within_it():
    pool = make(200, dtype=torch.float64)
    points = plain_points(FacilityLocation(pool))
    graph = pairs_within(points, 4.0)
    near = points.to_rows(torch.arange(200)) <= 4.0
    assert graph is not None
    for u in range(200):
        entries = graph.rows[graph.starts[u] : graph.starts[u + 1]].tolist()
        assert sorted(entries) == near[u].nonzero().squeeze(1).tolist()


def test_balls_and_distances_pick_the_same_rows(monkeypatch):
    pool = make(400, dtype=torch.float64)

    def objective():
        return KernelCoverage(pool, "top-hat", 2.0, tiebreak=1 / 401)

    balls = ball_coverage(objective(), 60, allowance=allowance(pool))
    assert balls is not None
    assert balls.rows == exact_coverage(objective(), 60, allowance=allowance(pool)).rows
    monkeypatch.setattr(coverage_balls, "MOST_PAIRS", 500)
    assert ball_coverage(objective(), 60, allowance=allowance(pool)) is None
