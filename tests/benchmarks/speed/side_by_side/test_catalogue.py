"""Which rows there are, and which run."""

import pytest

from benchmarks.speed.side_by_side.catalogue import ALONE, FULL, QUICK, ROWS, chosen
from benchmarks.speed.side_by_side.goals import (
    GOALS,
    near,
    times_theirs,
    within_bytes,
    within_cpu,
    within_objective,
    within_wall,
)
from benchmarks.speed.side_by_side.outcome import Outcome
from clcore.errors import UnknownNameError


def test_lists_name_rows_and_contestants_that_exist():
    for listed in (FULL, QUICK):
        for name, left_out in listed.items():
            assert set(left_out) <= {contestant.name for contestant in ROWS[name].contestants}
            assert ROWS[name].contestants[0].name == "ours"
            assert "ours" not in left_out
    assert set(QUICK) <= set(FULL)
    assert set(GOALS) <= set(ROWS)


def test_contestants_of_a_row_have_names_of_their_own():
    for row in ROWS.values():
        names = [contestant.name for contestant in row.contestants]
        assert len(names) == len(set(names))


def test_every_size_can_be_run_by_name():
    for name in (
        "k-center-50k-512-5000-unstructured",
        "herding-5k-64-50-unstructured",
        "k-means-plus-plus-minibatch-128",
    ):
        rows, left_out = chosen([name], quick=False)
        assert [row.name for row in rows] == [name]
        assert left_out == {}


def test_the_default_lists():
    rows, left_out = chosen([], quick=False)
    assert [row.name for row in rows] == list(FULL)
    assert left_out["facility-location-20k-64-200-clustered"] >= {"submodlib"}
    assert [row.name for row in chosen([], quick=True)[0]] == list(QUICK)
    assert not ALONE & set(FULL)


def test_a_name_is_more_than_its_beginning_and_that_more_than_a_part():
    herding = {row.task for row in chosen(["herding-5k"], quick=False)[0]}
    assert herding == {"herding"}
    minibatch = {row.task for row in chosen(["minibatch"], quick=False)[0]}
    assert minibatch >= {"herding", "max-herding", "k-center"}
    assert len(chosen(["facility-location-5k-64-50-clustered"], quick=False)[0]) == 1


def test_a_million_rows_run_by_their_whole_name_alone():
    assert set(ALONE) == {"k-center-1m", "facility-location-1m", "gradient-products"}
    assert "k-center-1m" not in {row.name for row in chosen(["k-center"], quick=False)[0]}
    assert [row.name for row in chosen(["k-center-1m"], quick=False)[0]] == ["k-center-1m"]


def test_quick_looks_in_the_quick_list():
    rows, _ = chosen(["k-center", "herding-20k"], quick=True)
    assert {row.name for row in rows} <= set(QUICK)
    assert len(rows) == 4


def test_an_unknown_row_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="k-center-1m"):
        chosen(["k-centre-1m"], quick=False)


def outcomes(**theirs):
    ours = Outcome("ours", cpu=1.0, wall=2.0, peak_bytes=10, objective=5.0)
    return {"ours": ours, **theirs}


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        (within_cpu(1.0), True),
        (within_cpu(0.9), False),
        (within_wall(2.0), True),
        (within_wall(1.9), False),
        (within_bytes(10), True),
        (within_bytes(9), False),
        (within_objective(5.0), True),
        (within_objective(4.9), False),
        (times_theirs("peer", 0.1), True),
        (times_theirs("peer", 0.05), False),
        (times_theirs("nobody", 2), None),
        (times_theirs("late", 2), None),
        (near("peer", 0.001), True),
        (near("better", 0.001), False),
        (near("late", 0.001), None),
    ],
)
def test_goals(goal, met):
    found = outcomes(
        peer=Outcome("peer", cpu=10.0, wall=10.0, objective=4.996),
        better=Outcome("better", cpu=10.0, wall=10.0, objective=4.9),
        late=Outcome("late", "too long", "> 120 s"),
    )
    assert goal.met(found) is met


def test_a_goal_is_open_where_ours_did_not_finish():
    failed = {"ours": Outcome("ours", "failed", "why"), "peer": Outcome("peer", cpu=1.0)}
    for goal in (within_cpu(1), within_wall(1), within_bytes(1), within_objective(1)):
        assert goal.met(failed) is None
    assert times_theirs("peer", 2).met(failed) is None


def test_goals_in_words():
    assert within_cpu(0.5).words == "≤ 0.5 CPU s"
    assert times_theirs("torch loop", 1.2).words == "≤ 1.2 × torch loop"
    assert times_theirs("scikit-activeml", 0.1).words == "10 × faster than scikit-activeml"
    assert within_bytes(8 * 2**30).words == "≤ 8 GiB"
    assert near("ours, exact", 0.001).words == "objective within 0.1 % of ours, exact"
