"""The engine group: from rows to table and file."""

import json

import pytest
from typer.testing import CliRunner

from benchmarks import speed
from benchmarks.cli import app
from benchmarks.speed import engine
from benchmarks.speed.side_by_side.outcome import Outcome
from benchmarks.speed.side_by_side.row import Contestant, Row
from clcore.errors import ArgumentError


@pytest.fixture
def figures(monkeypatch):
    """One row whose contestants are not run."""
    row = Row("tiny", "k-center", "clustered", 50, 3, 5, (Contestant("ours", "a:b"),))
    asked = []

    def choose(rows, *, quick):
        asked.append((list(rows), quick))
        return [row], {}

    def run(self, row):
        asked.append(self.limit)
        yield Outcome("ours", cpu=1.0, wall=1.0, rounds=1, objective=3.0)
        yield Outcome("theirs", cpu=4.0, wall=4.0, rounds=1, objective=3.0)

    monkeypatch.setattr(engine, "chosen", choose)
    monkeypatch.setattr(engine.Contest, "run", run)
    return asked


def test_shows_lines_table_and_machine_and_writes_the_file(figures, tmp_path):
    lines = []
    path = tmp_path / "figures" / "engine.json"
    assert speed.run("engine", path, show=lines.append, rows=["tiny"], limit=7) == 0
    assert figures == [(["tiny"], False), 7]
    assert lines[0].startswith("[1/1] k center, 50 × 3, k = 5, clustered")
    assert any("4.00× ours, counted: yes" in text for text in lines)
    assert any("| row | contestant |" in text for text in lines)
    written = json.loads(path.read_text())
    assert written["group"] == "engine"
    assert written["rows"][0]["contestants"][1]["counted"] is True
    assert written["machine"]["cores"] >= 1


def test_command_hands_on_its_options(figures):
    words = ["speed", "engine", "--quick", "--rows", "a", "--rows", "b", "--limit", "9"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert figures == [(["a", "b"], True), 9.0]
    assert "4.00×" in done.stdout


def test_an_unknown_row_is_one_sentence():
    done = CliRunner().invoke(app, ["speed", "engine", "--rows", "k-centre-1m"])
    assert done.exit_code == 2
    assert "did you mean k-center-1m" in done.stderr


def test_the_limit_is_positive():
    with pytest.raises(ArgumentError, match="limit"):
        engine.report(limit=0)


def test_another_group_has_no_rows():
    with pytest.raises(ArgumentError, match="'buffers' has no option 'rows'"):
        speed.run("buffers", rows=["k-center"])
