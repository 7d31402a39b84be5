"""What is printed of a row."""

import json

import pytest

from benchmarks.speed.side_by_side.goals import within_cpu
from benchmarks.speed.side_by_side.outcome import Outcome
from benchmarks.speed.side_by_side.row import Row
from benchmarks.speed.side_by_side.table import (
    as_json,
    goals,
    line,
    machine,
    machine_line,
    markdown,
    seconds,
)


@pytest.fixture
def row():
    goal = (within_cpu(0.5),)
    return Row("kc", "k-center", "clustered", 5000, 64, 500, (), goals=goal)


@pytest.fixture
def outcomes():
    found = (
        Outcome("ours", cpu=0.02, wall=0.03, peak_bytes=3_000_000, rounds=3, objective=15.0),
        Outcome("slow", cpu=0.5, wall=0.6, peak_bytes=9_000_000, rounds=3, objective=15.1),
        Outcome("better", cpu=0.5, wall=0.6, rounds=1, objective=14.0, error=0.02),
        Outcome("late", "too long", "> 120 s"),
        Outcome("absent", "not installed", "pip install 'clcore[peers]'"),
    )
    return {outcome.name: outcome for outcome in found}


def test_markdown(row, outcomes):
    ours, slow, better, late, absent = markdown([(row, outcomes)]).splitlines()[2:]
    assert ours.startswith("| k center, 5,000 × 64, k = 500, clustered (covering radius) | ours |")
    assert "≤ 0.5 CPU s: met" in ours
    assert "| 25.00× | yes |" in slow
    assert "no: its objective is 7.1 % better" in better
    assert "14 ± 0.02" in better
    assert "too long: > 120 s" in late
    assert "not installed: pip install 'clcore[peers]'" in absent


def test_every_line_of_the_table_has_the_same_cells(row, outcomes):
    lines = markdown([(row, outcomes)]).splitlines()
    assert {text.count("|") for text in lines} == {10}


def test_lines(row, outcomes):
    ours = outcomes["ours"]
    assert line(row, ours, ours) == ("  ours: CPU 20 ms, wall 30 ms, peak 3 MB, covering radius 15")
    assert line(row, ours, outcomes["slow"]).endswith("25.00× ours, counted: yes")
    assert line(row, ours, outcomes["late"]) == "  late: too long: > 120 s"


def test_where_ours_failed_nothing_counts(row, outcomes):
    failed = Outcome("ours", "failed", "UnknownNameError: unknown selector 'x'")
    found = {"ours": failed, "slow": outcomes["slow"]}
    ours, slow = markdown([(row, found)]).splitlines()[2:]
    assert "failed: UnknownNameError" in ours
    assert "open" in goals(row, found)
    assert "no: ours did not finish" in slow
    assert "×" not in slow
    assert line(row, failed, failed) == "  ours: failed: UnknownNameError: unknown selector 'x'"


def test_json(row, outcomes):
    (written,) = json.loads(json.dumps(as_json([(row, outcomes)]), allow_nan=False))
    assert written["row"] == "kc"
    assert written["goals"] == [{"goal": "≤ 0.5 CPU s", "met": True}]
    counted = {entry["name"]: entry["counted"] for entry in written["contestants"]}
    assert counted == {"ours": None, "slow": True, "better": False, "late": False, "absent": False}


@pytest.mark.parametrize(
    ("value", "text"),
    [(2.5, "2.5 s"), (0.0031, "3.1 ms"), (4.2e-5, "42 µs"), (float("nan"), "–")],
)
def test_seconds(value, text):
    assert seconds(value) == text


def test_machine_names_the_packages():
    assert machine()["packages"]["torch"]
    assert "torch" in machine_line()
    assert "None" not in machine_line()
