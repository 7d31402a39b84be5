"""What is reported of a comparison; no test looks at how long anything takes."""

import json

import pytest

from benchmarks import speed
from benchmarks.speed import buffers
from benchmarks.speed.comparison import Comparison, human, markdown, race
from clcore.errors import UnknownNameError


def test_race_takes_turns_and_runs_each_equally_often():
    order = []
    seconds = race(
        {"ours": lambda: order.append("a"), "theirs": lambda: order.append("b")}, rounds=3, calls=2
    )
    assert order == ["a", "b", *["a", "a", "b", "b"] * 3]
    assert list(seconds) == ["ours", "theirs"]
    assert all(value >= 0 for value in seconds.values())


def test_ratio_is_their_time_over_ours():
    comparison = Comparison("add", {"ours": 2e-5, "theirs": 2e-3}, "call", goal=5e-5)
    assert comparison.ratios() == {"theirs": pytest.approx(100)}
    assert "100.00×" in markdown([comparison])
    assert "≤ 50 µs" in markdown([comparison])


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.5, "2.5 s"), (0.0031, "3.1 ms"), (4.2e-5, "42 µs")]
)
def test_human(seconds, text):
    assert human(seconds) == text


def test_run_shows_and_writes_what_the_group_measures(tmp_path, monkeypatch):
    figures = [Comparison("work", {"ours": 1.0, "theirs": 3.0}, "call")]
    monkeypatch.setattr(buffers, "measure", lambda quick: iter(figures))
    lines = []
    assert speed.run("buffers", tmp_path / "speed.json", show=lines.append) == 0
    assert any("theirs / ours = 3.00" in line for line in lines)
    report = json.loads((tmp_path / "speed.json").read_text())
    assert report["figures"][0]["ratios"] == {"theirs": 3.0}
    assert report["machine"]["threads"] >= 1


def test_unknown_group_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="buffers"):
        speed.run("bufers")


def test_groups_are_the_modules_that_measure():
    assert speed.groups() == [
        *("buffers", "coreset-training", "engine"),
        *("generative", "gradient-buffers", "out-of-core"),
    ]
