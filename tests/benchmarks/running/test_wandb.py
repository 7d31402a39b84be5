import json
from dataclasses import replace

import pytest

from benchmarks import runner
from benchmarks.running import folder
from benchmarks.running.execute import WandB, needs_wandb
from benchmarks.running.plan import cells_of


@pytest.fixture
def one(tiny):
    return replace(tiny, methods=("reservoir",), seeds=(0,))


def test_each_cell_and_the_summary_become_offline_runs(one, tmp_path):
    path = tmp_path / "run"
    runner.run(folder.create(path, one), wandb=WandB("offline"))
    runs = sorted(p.name for p in (path / "wandb").glob("offline-run-*"))
    assert len(runs) == 2
    mark = json.loads((path / "cells" / "reservoir-m20-s0" / "wandb.json").read_text())
    assert any(mark["run_id"] in name for name in runs)
    assert mark["mode"] == "offline"
    assert mark["url"] is None


def test_a_finished_run_is_shown_when_it_was_not_yet(one, tmp_path):
    path = tmp_path / "run"
    run = folder.create(path, one)
    results = runner.run(run)
    cell = run.cell_folder(run.cells[0])
    assert needs_wandb(cell)
    again = runner.run(folder.reopen(path), wandb=WandB("offline"), listener=NothingDone())
    assert not needs_wandb(cell)
    assert again == results


class NothingDone(runner.Silent):
    def begin(self, cells, finished):
        assert cells == finished

    def done(self, cell, run):
        raise AssertionError("a cell that was finished before is not finished again")


class Follower:
    """Stands in for wandb's online sink."""

    made = ()

    def __init__(self, folder):
        self.folder, self.failed, self.fed, self.closed = folder, False, None, None
        self.events = []
        Follower.made = (*Follower.made, self)

    def handle(self, event):
        if event["event"] == "end":  # what the event names is there already
            assert (self.folder / "result.json").is_file()
        self.events.append(event["event"])

    def close(self, exit_code=0):
        self.closed = exit_code


@pytest.fixture
def online(monkeypatch):
    Follower.made = ()

    def live(folder, *, mode, project):
        assert (mode, project) == ("online", "clcore")
        assert (folder / "events.jsonl").is_file()
        return Follower(folder)

    monkeypatch.setattr("benchmarks.reporting.wandb_sink.live", live)
    monkeypatch.setattr(WandB, "summarise", lambda self, folder, results: None)


def test_online_runs_are_followed_while_they_happen(one, tmp_path, online):
    runner.run(folder.create(tmp_path / "run", one), wandb=WandB("online"))
    (follower,) = Follower.made
    assert follower.events[0] == "evaluation"  # what the log held before is fed by `live`
    assert follower.events[-1] == "end"
    assert follower.events.count("memory") == 5
    assert follower.closed is None


def test_an_online_run_that_stops_is_closed(one, tmp_path, online):
    class Stop(runner.Silent):
        def progress(self, cell, share):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.run(folder.create(tmp_path / "run", one), wandb=WandB("online"), listener=Stop())
    (follower,) = Follower.made
    assert follower.closed == 1
    assert len(cells_of(one)) == 1
