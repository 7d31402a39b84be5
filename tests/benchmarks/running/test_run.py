import gc
import json
import logging
import math
import weakref
from dataclasses import replace

import pytest
import torch

from benchmarks import metrics, runner
from benchmarks.reporting import read_events, read_results
from benchmarks.running import cell as cell_module
from benchmarks.running import folder
from benchmarks.running.cell import run_cell
from benchmarks.running.data import load_data
from benchmarks.running.plan import Cell
from benchmarks.running.task import CellTask
from buffers import HerdingBuffer, ReservoirBuffer
from clcore.errors import ArgumentError, ClcoreError, DataUnavailableError


def without_seconds(results):
    """A results record with what is measured by the clock left out."""
    record = results.model_dump(mode="json", by_alias=True)
    for run in record["runs"]:
        del run["seconds"]
    return record


class Listener(runner.Silent):
    """Remembers what it is told."""

    def __init__(self):
        self.told = []

    def begin(self, cells, finished):
        self.told.append(("begin", len(cells), len(finished)))

    def done(self, cell, run):
        self.told.append(("done", cell.name, run.final_accuracy))

    def progress(self, cell, share):
        assert 0 < share <= 1

    def failed(self, cell, reason):
        self.told.append(("failed", cell.name, reason))


@pytest.fixture
def finished(tiny, tmp_path):
    """A finished run."""
    path = tmp_path / "run"
    runner.run(folder.create(path, tiny))
    return path


def test_a_run_leaves_all_that_is_promised(tiny, tmp_path):
    listener = Listener()
    run = folder.create(tmp_path / "run", tiny)
    results = runner.run(run, listener=listener)
    assert [r.cell for r in results.runs] == [
        "reservoir-m20-s0", "herding+nem-m20-s0", "reservoir-m20-s1", "herding+nem-m20-s1",
    ]  # fmt: skip
    assert listener.told[0] == ("begin", 4, 0)
    assert listener.told[1:] == [("done", r.cell, r.final_accuracy) for r in results.runs]
    assert read_results(run.path) == results
    assert {p.name for p in run.path.iterdir()} == {
        "settings.json", "cells", "results.json", "table.md", "report.html",
    }  # fmt: skip
    assert "herding+nem" in (run.path / "table.md").read_text()
    for cell in run.cells:
        files = {p.name for p in run.cell_folder(cell).iterdir()}
        assert files == {
            "events.jsonl", "state.json", "result.json", "memory.safetensors", "checkpoint",
            *(f"exemplars-0{experience}.png" for experience in range(5)),
        }  # fmt: skip
        assert [p.name for p in (run.cell_folder(cell) / "checkpoint").iterdir()] == ["after-05"]


def test_the_results_are_what_the_matrix_says(finished):
    for run in read_results(finished).runs:
        assert len(run.accuracy_matrix) == len(run.accuracy_matrix[0]) == 5
        found = metrics.summarise(run.accuracy_matrix)
        assert run.final_accuracy == found.final_accuracy
        assert run.average_forgetting == found.average_forgetting
        assert run.forward_transfer is not None
        assert sum(run.memory_class_counts.values()) == 20
        assert run.seconds.train > 0
        assert run.seconds.evaluate > 0
        # 5 experiences x 2 epochs x 4 batches; 10 rows of the stream, 10 replayed but in the first.
        assert run.passes.forward == run.passes.backward == 5 * 80 + 4 * 80
        herding = run.method.startswith("herding")
        assert (run.selection_passes.forward > 0) == herding
        assert run.selection_passes.backward == 0


def test_settings_and_environment_are_in_the_results(finished):
    results = read_results(finished)
    assert results.settings["epochs"] == 2
    assert results.settings["scenario"]["sampled"] == {"samples": 40}
    assert results.settings["command"].startswith("clcore run split-digits --methods")
    assert "--set epochs=2" in results.settings["command"]
    assert len(results.settings["hash"]) == 12
    assert results.environment["threads"] == 1
    assert results.environment["versions"]["torch"]


def test_the_events_tell_the_story(finished):
    events = read_events(finished / "cells" / "reservoir-m20-s0")
    result = json.loads((finished / "cells" / "reservoir-m20-s0" / "result.json").read_text())
    assert events[0]["event"] == "start"
    assert events[0]["class_names"] == [str(digit) for digit in range(10)]
    assert events[0]["experiences"] == 5
    ends = [e for e in events if e["event"] == "evaluation" and e["phase"] == "end"]
    assert [e["accuracies"] for e in ends] == result["accuracy_matrix"]
    assert ends[-1]["average_accuracy"] == pytest.approx(result["final_accuracy"])
    assert ends[-1]["average_forgetting"] == pytest.approx(result["average_forgetting"])
    during = [e for e in events if e["event"] == "evaluation" and e["phase"] == "during"]
    assert [e["iteration"] for e in during] == [0, 4, 12, 20, 28, 36]
    trained = [e for e in events if e["event"] == "train"]
    assert [e["iteration"] for e in trained[:3]] == [3, 6, 8]
    assert trained[0]["replay_loss"] is None  # nothing to replay in the first experience
    assert all(math.isfinite(e["replay_loss"]) for e in trained[3:])
    assert all(0 <= e["accuracy"] <= 1 and e["loss"] > 0 for e in trained)
    memories = [e for e in events if e["event"] == "memory"]
    assert [e["size"] for e in memories] == [20] * 5
    assert memories[0]["turnover"] == 1.0
    assert memories[-1]["class_counts"] == result["memory_class_counts"]
    assert events[-1]["event"] == "end"
    assert events[-1]["result"] == result


def test_the_saved_memory_can_be_loaded(finished):
    cells = finished / "cells"
    buffer = ReservoirBuffer(20).load(cells / "reservoir-m20-s0" / "memory.safetensors")
    assert len(buffer) == 20
    assert buffer.seen == 200
    assert buffer.store.x.dtype == torch.uint8
    herded = HerdingBuffer(20).load(cells / "herding+nem-m20-s0" / "memory.safetensors")
    assert herded.class_counts() == dict.fromkeys(range(10), 2)


def test_a_run_leaves_the_process_as_it_was(tiny, tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state(), torch.get_num_threads()
    runner.run(folder.create(tmp_path / "run", replace(tiny, seeds=(0,))))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.get_num_threads() == before[1]
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_same_run_twice_is_the_same(tiny, tmp_path):
    first = runner.run(folder.create(tmp_path / "first", tiny))
    torch.manual_seed(99)  # whatever the process did before
    again = runner.run(folder.create(tmp_path / "again", tiny))
    assert without_seconds(first) == without_seconds(again)
    assert first.runs[0].accuracy_matrix != first.runs[2].accuracy_matrix  # the seeds differ


@pytest.mark.parametrize("training", ["batch", "online"])
def test_naive_forgets_and_joint_does_not(tiny, tmp_path, training):
    suite = replace(tiny, methods=("naive", "joint"), seeds=(0,), epochs=8, training=training)
    naive, joint = runner.run(folder.create(tmp_path / "run", suite)).runs
    assert naive.cell == "naive-m0-s0"
    assert naive.final_accuracy < 0.3
    assert naive.average_forgetting > 0.7
    assert naive.memory_bytes == 0
    assert len(joint.accuracy_matrix) == 1
    assert len(joint.accuracy_matrix[0]) == 5
    assert joint.final_accuracy > 0.5
    assert joint.forward_transfer is None
    # As many passes over all data at once as over each experience.
    assert joint.passes == naive.passes
    assert naive.passes.forward == 8 * 200


def test_an_online_stream(tiny, tmp_path):
    suite = replace(tiny, training="online", methods=("ring", "k-means+nem"), epochs=1)
    results = runner.run(folder.create(tmp_path / "run", suite))
    ring, k_means = results.runs[:2]
    # The first batch has nothing to replay yet.
    assert ring.passes.forward == 200 + 190
    assert sum(ring.memory_class_counts.values()) == 20
    assert k_means.selection_passes.forward > 0
    assert max(k_means.final_accuracy, ring.final_accuracy) > 0.3


def test_updating_after_each_iteration_replays_the_present_too(tiny, tmp_path):
    suite = replace(tiny, update="iteration", methods=("reservoir", "herding"), seeds=(0,))
    reservoir, herding = runner.run(folder.create(tmp_path / "run", suite)).runs
    assert reservoir.passes.forward == 400 + 390
    # Herding chooses at the end of an experience, whatever the suite says.
    assert herding.passes.forward == 400 + 320


def test_normalising_changes_the_input(tiny, tmp_path):
    plain = replace(tiny, methods=("reservoir",), seeds=(0,))
    first = runner.run(folder.create(tmp_path / "a", plain)).runs[0]
    second = runner.run(folder.create(tmp_path / "b", replace(plain, normalise="dataset"))).runs[0]
    assert first.accuracy_matrix != second.accuracy_matrix


def test_a_method_that_fails_does_not_stop_the_others(tiny, tmp_path, monkeypatch):
    def broken(self, memory_size, *, seed, probe=None):
        raise ArgumentError("memory: broken on purpose")

    monkeypatch.setattr("benchmarks.methods.herding.Herding.build_buffer", broken)
    run = folder.create(tmp_path / "run", tiny)
    listener = Listener()
    with pytest.raises(ClcoreError, match=r"2 of 4 cells failed \(herding\+nem-m20-s0, .*broken"):
        runner.run(run, listener=listener)
    assert [r.method for r in read_results(run.path).runs] == ["reservoir", "reservoir"]
    assert ("failed", "herding+nem-m20-s0", "memory: broken on purpose") in listener.told


def test_missing_data_is_said_before_anything_runs(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("CLCORE_DATA", str(tmp_path / "nothing"))
    load_data.cache_clear()
    with pytest.raises(DataUnavailableError, match="clcore data get mnist"):
        folder.create(tmp_path / "run", replace(tiny, dataset="mnist"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("workers", [0, -1, 1.5, True])
def test_workers_must_be_positive(tiny, tmp_path, workers):
    with pytest.raises(ArgumentError, match="workers: got"):
        runner.run(folder.create(tmp_path / "run", tiny), workers=workers)


def test_another_environment_is_said(finished, monkeypatch, caplog):
    record = json.loads((finished / "settings.json").read_text())
    record["environment"]["versions"]["torch"] = "1.0"
    (finished / "settings.json").write_text(json.dumps(record))
    with caplog.at_level(logging.WARNING):
        runner.run(folder.reopen(finished))
    assert "torch 1.0 then" in caplog.text


def test_one_cell_alone(tiny, tmp_path):
    shares = []
    task = CellTask(tiny, Cell("reservoir", 20, 0), tmp_path / "cell", {"a": 1}, {})
    run = run_cell(task, shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert run_cell(task, shares.append) == run  # finished: read, not run again


def test_a_finished_cell_leaves_no_images_behind(tiny, tmp_path, monkeypatch):
    built = []
    original = cell_module.build_scenario

    def build(*arguments):
        scenario = original(*arguments)
        built.append(weakref.ref(scenario))
        return scenario

    monkeypatch.setattr(cell_module, "build_scenario", build)
    gc.disable()  # nothing but the runner collects
    try:
        runner.run(folder.create(tmp_path / "run", replace(tiny, seeds=(0,))))
        assert len(built) == 2
        assert [reference() for reference in built] == [None, None]
    finally:
        gc.enable()
