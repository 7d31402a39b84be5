"""The group of rows on the disk: two real processes, a few thousand rows."""

import json
import shutil
from collections import namedtuple

import numpy as np
import pytest
import torch

from benchmarks import speed
from benchmarks.speed.streaming import processes, selections
from benchmarks.speed.streaming.rows import write_rows
from benchmarks.speed.streaming.settings import OutOfCoreSettings
from benchmarks.speed.streaming.works import WORKS, left
from clcore.distributed import Group, Shards, WorkerError
from clcore.errors import ArgumentError

SMALL = OutOfCoreSettings(
    rows=3_000,
    columns=6,
    centres=20,
    picks=15,
    tree_picks=30,
    per_part=30,
    part_rows=700,
    repeats=1,
    limit=60.0,
)


def alone():
    return Group.join()


@pytest.mark.parametrize("name", list(WORKS))
def test_each_work_in_one_process(name, tmp_path):
    shards = Shards(features=str(write_rows(tmp_path, SMALL)))
    report = WORKS[name].run(shards, alone(), SMALL)
    said = left(report, SMALL.rows)
    if name == "reading":
        assert said is None
    else:
        assert said.startswith("radius" if "farthest" in name else "error at most")
    if name.endswith("exact"):
        # The certificate that costs no second reading holds.
        cheap = WORKS[name.removesuffix("-exact")].run(shards, alone(), SMALL)
        bound = "radius_bound" if "farthest" in name else "error_bound"
        assert report["radius" if "farthest" in name else bound] <= cheap[bound] * (1 + 1e-6)


def test_rows_lie_around_their_centres(tmp_path):
    settings = OutOfCoreSettings(rows=5_000, columns=8, centres=3, apart=40.0, seed=1)
    rows = np.load(write_rows(tmp_path, settings))
    assert (rows.dtype, rows.shape) == (np.float32, (5_000, 8))
    x = torch.from_numpy(rows)
    # Three groups far from each other, in each of which the deviation is one.
    group = (torch.cdist(x, x[:50]) < 20).int().argmax(1)
    assert len(torch.unique(group)) == 3
    mine = x[group == group[0]]
    torch.testing.assert_close(mine.std(0), torch.ones(8), rtol=0.1, atol=0)
    again = tmp_path / "again"
    again.mkdir()
    assert np.array_equal(np.load(write_rows(again, settings)), rows)


def test_two_processes_measure_and_leave_nothing_behind(tmp_path):
    path = write_rows(tmp_path, SMALL)
    found = processes.measure("craig-exact", path, SMALL)
    assert found.cpu > 0
    assert found.wall > 0
    assert found.peak_bytes > 2**20
    assert found.report["error_bound"] > 0
    assert [each.name for each in tmp_path.iterdir()] == ["rows.npy"]


@pytest.mark.slow
def test_a_process_that_fails_is_named(tmp_path):
    with pytest.raises(
        WorkerError, match=r"kd-tree: process \d of 2 ended with status 1: .*nowhere"
    ):
        processes.measure("kd-tree", tmp_path / "nowhere.npy", SMALL)


def test_the_first_to_fail_is_the_cause_and_not_those_that_lost_it():
    class Process:
        def __init__(self, *codes):
            self.codes = list(codes)

        def poll(self):
            return self.codes.pop(0) if len(self.codes) > 1 else self.codes[0]

    assert processes._wait("w", [Process(None, None, 0), Process(None, 1)], 1.0) == 1
    assert processes._wait("w", [Process(None, 0), Process(0)], 1.0) is None


def test_processes_that_never_end_are_given_up(monkeypatch):
    class Endless:
        def poll(self):
            return None

    monkeypatch.setattr(processes, "START", 0.0)
    with pytest.raises(WorkerError, match=r"w: took longer than limit=0\.1 seconds; set more"):
        processes._wait("w", [Endless()], 0.1)


def test_table_with_ratios_to_reading(monkeypatch, tmp_path):
    asked = []

    def measure(name, rows, settings):
        asked.append(name)
        assert rows.is_file()
        cpu = 2.0 if name == "reading" else 5.0
        return processes.Measured(cpu, cpu, 2**30, {"error_bound": 6_000.0})

    monkeypatch.setattr(selections, "measure", measure)
    out, lines = tmp_path / "figures.json", []
    words = [f"folder={tmp_path}", "rows=3000", "columns=6", "picks=15", "repeats=2"]
    words += ["tree_picks=30", "per_part=30"]
    assert speed.run("out-of-core", out, show=lines.append, assignments=words) == 0
    names = list(WORKS)
    assert asked == names + names[::-1]
    (table,) = json.loads(out.read_text())["tables"]
    assert [row["ratio"]["median"] for row in table["rows"]] == [1.0] + [2.5] * (len(names) - 1)
    assert table["rows"][1]["left"] == "error at most 2.0 a row"
    assert [each.name for each in tmp_path.iterdir()] == ["figures.json"]
    assert "3,000 × 6 float32 rows" in lines[0]


def test_what_does_not_fit_in_memory_is_left_out(monkeypatch, tmp_path):
    done = processes.Measured(1.0, 1.0, 2**30, {})
    monkeypatch.setattr(selections, "measure", lambda *_: done)
    monkeypatch.setattr(selections, "available_bytes", lambda device: 1000)
    (table,) = selections.selections(SMALL)
    assert "all rows in memory" not in "".join(row["selection"] for row in table.rows)
    assert any("left out: they would not fit" in note for note in table.notes)


def test_a_disk_without_room_is_said_before_anything_is_written(monkeypatch, tmp_path):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10, 10, 10_000))
    with pytest.raises(ArgumentError, match=r"rows: 3,000 rows take 0.00 GB .* set fewer rows"):
        write_rows(tmp_path, SMALL)
    assert not list(tmp_path.iterdir())
