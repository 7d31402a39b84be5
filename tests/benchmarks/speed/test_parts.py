"""Groups of several parts: settings, what is left out, and the file."""

import json
from dataclasses import dataclass
from typing import Literal

import pytest
from typer.testing import CliRunner

from benchmarks import speed
from benchmarks.cli import app
from benchmarks.speed import coreset_training, generative, out_of_core
from benchmarks.speed.figures import Column, Table
from benchmarks.speed.parts import run_parts
from clcore.errors import ArgumentError, DataUnavailableError, UnknownNameError


@dataclass(frozen=True)
class Few:
    parts: tuple[Literal["one", "two"], ...] = ("one", "two")
    number: int = 3


def one(settings):
    yield Table("one", "One", (Column("n", "n"),), [{"n": settings.number}])


def missing(settings):
    raise DataUnavailableError("covtype is not there; get it with `clcore data get covtype`")
    yield


def test_shows_tables_and_machine_and_writes_the_file(tmp_path):
    lines, out = [], tmp_path / "folder" / "figures.json"
    status = run_parts("few", {"one": one, "two": one}, Few(), ["number=7"], out, lines.append)
    assert status == 0
    assert sum("| 7 |" in text for text in lines) == 2
    assert "Python" in lines[-1]
    written = json.loads(out.read_text())
    assert written["group"] == "few"
    assert written["settings"] == {"parts": ["one", "two"], "number": 7}
    assert [table["rows"] for table in written["tables"]] == [[{"n": 7}], [{"n": 7}]]
    assert written["left_out"] == {}
    assert written["machine"]["cores"] >= 1


def test_a_part_without_its_data_is_left_out_and_said(tmp_path):
    lines, out = [], tmp_path / "figures.json"
    assert run_parts("few", {"one": one, "two": missing}, Few(), [], out, lines.append) == 0
    assert any("two left out: covtype is not there; get it" in text for text in lines)
    assert "clcore data get" in json.loads(out.read_text())["left_out"]["two"]


def test_nothing_measured_for_lack_of_data_is_an_error():
    with pytest.raises(DataUnavailableError, match="clcore data get covtype"):
        run_parts("few", {"two": missing}, Few(), ["parts=two"], None, print)


def test_parts_run_once_each_and_at_least_one():
    lines = []
    run_parts("few", {"one": one}, Few(), ["parts=one,one"], None, lines.append)
    assert sum("| n |" in text for text in lines) == 1
    with pytest.raises(ArgumentError, match="parts: name at least one of one"):
        run_parts("few", {"one": one}, Few(), ["parts=[]"], None, print)


@pytest.mark.parametrize(
    ("group", "assignment", "said"),
    [
        ("coreset-training", "rounds=0", "setting rounds: got 0"),
        ("coreset-training", "share=1.5", "setting share: got 1.5"),
        ("coreset-training", "parts=overhaed", "setting parts"),
        ("coreset-training", "round=3", "unknown setting 'round'; did you mean rounds"),
        ("out-of-core", "rows=0", "setting rows: got 0"),
        ("out-of-core", "rows=10000", "tree_picks: 4,000 picks are wanted, and 2 parts"),
        ("out-of-core", "folder=/no/such/place", "is not a folder"),
        ("generative", "channels=0", "setting channels"),
        ("generative", "pool_size=64", "pool_size: must be above batch_size"),
        ("generative", "seed", "--set: got 'seed'; key=value is needed"),
    ],
)
def test_wrong_settings_are_one_sentence(group, assignment, said):
    done = CliRunner().invoke(app, ["speed", group, "--set", assignment])
    assert done.exit_code == 2, done.output
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("group", ["buffers", "gradient-buffers", "engine"])
def test_other_groups_have_no_settings(group):
    with pytest.raises(ArgumentError, match=f"'{group}' has no option 'set'"):
        speed.run(group, assignments=["rounds=3"])


def test_new_groups_have_no_rows():
    with pytest.raises(ArgumentError, match="'generative' has no option 'rows'"):
        speed.run("generative", rows=["k-center"])


@pytest.mark.parametrize("group", [coreset_training, out_of_core, generative])
def test_quick_settings_measure_less(group, monkeypatch):
    asked = []
    monkeypatch.setattr(group, "run_parts", lambda *words: asked.append(words[2]) or 0)
    group.report()
    group.report(quick=True)
    assert asked == [group.SETTINGS, group.QUICK]
    assert group.SETTINGS != group.QUICK
    assert group.SETTINGS.parts == group.QUICK.parts


def test_unknown_setting_names_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean rows"):
        out_of_core.report(assignments=["row=10"])
