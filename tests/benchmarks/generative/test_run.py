"""Generative suites through the runner: results, events, resuming, what cells share."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from benchmarks import runner
from benchmarks.generative import GenerativeResults
from benchmarks.reporting import read_any_results, read_events
from benchmarks.running import folder
from benchmarks.running.failures import RunError
from clcore.errors import FormatError

METHODS = {
    "points": ("plain", "k-center", "kernel-herding+latents+top-k", "importance"),
    "gan": ("plain", "k-center+images", "instance-selection", "random-subset"),
    "vae": ("plain", "pseudo-coreset", "clusters-random+k-center"),
    "diffusion": ("plain", "clusters-nearest", "instance-selection+reweighted"),
}

CLOCKS = ("seconds", "selection_seconds", "cpu_seconds")


def comparable(path):
    """The runs of results.json with what is measured by the clock left out."""
    runs = json.loads((path / "results.json").read_text())["runs"]
    for run in runs:
        run.pop("seconds")
        run.pop("prepare_seconds")
        for name in CLOCKS:
            run["course"].pop(name)
    return runs


def story(path):
    events = read_events(path)
    for event in events:
        for name in ("time", "environment", "result", *CLOCKS):
            event.pop(name, None)
    return events


def without_settings(event):
    return {name: value for name, value in event.items() if name != "settings"}


class StopAt(runner.Silent):
    def __init__(self, cell, share):
        self.cell, self.share = cell, share

    def progress(self, cell, share):
        if cell.name == self.cell and share >= self.share:
            raise KeyboardInterrupt


@pytest.fixture(scope="module", params=list(METHODS))
def whole(request, make_suite, tmp_path_factory):
    """A finished run of each learner, and its suite."""
    suite = make_suite(request.param, methods=METHODS[request.param])
    path = tmp_path_factory.mktemp("whole") / "run"
    runner.run(folder.create(path, suite))
    return suite, path


def test_what_a_run_leaves(whole):
    suite, path = whole
    results = read_any_results(path)
    assert isinstance(results, GenerativeResults)
    assert len(results.runs) == len(suite.methods)
    for run in results.runs:
        course, cell = run.course, path / "cells" / run.cell
        assert course.steps == [0, 2, 4, 6]
        assert course.seconds == sorted(course.seconds)
        assert course.cpu_seconds == sorted(course.cpu_seconds)
        assert tuple(course.measures) == suite.measures == tuple(m.name for m in run.measures)
        assert course.seconds[-1] == pytest.approx(run.seconds.train + run.seconds.select)
        assert course.selection_seconds[-1] == pytest.approx(run.seconds.select)
        assert course.selection_seconds[0] == pytest.approx(run.prepare_seconds)
        # What is chosen before training is there at the first point; random rows cost next to none.
        early = any(word in run.method for word in ("instance", "clusters", "images"))
        assert (run.prepare_seconds > 1e-4) >= early
        if run.method == "plain":
            assert run.seconds.select == run.prepare_seconds == 0
            assert run.selection_passes.forward == run.selection_passes.backward == 0
        kept = "instance" in run.method or "clusters" in run.method or "subset" in run.method
        assert run.rows == (200 if suite.gaussian else 300)
        assert run.rows_kept == (run.rows // 2 if kept else run.rows)
        assert (cell / "kept.safetensors").is_file() == kept
        assert not (cell / "checkpoint").exists()
        samples = load_file(cell / "samples.safetensors")["samples"]
        assert samples.shape == ((40, 2) if suite.gaussian else (40, 1, 8, 8))
        assert (cell / "samples.png").is_file()


def test_the_event_log_tells_all(whole):
    suite, path = whole
    events = read_events(path / "cells" / "plain-b8-s0")
    assert [event["event"] for event in events] == ["start", *["point"] * 4, "end"]
    assert (events[0]["kind"], events[0]["batch_size"]) == ("generative", 8)
    for event in events[1:-1]:
        assert event["iteration"] == event["steps"]
        assert tuple(event["measures"]) == suite.measures
        assert (path / "cells" / "plain-b8-s0" / event["picture"]).is_file()
        assert bool(event["losses"]) == (event["steps"] > 0)


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_interrupted(whole, tmp_path, share):
    suite, path = whole
    run = folder.create(tmp_path / "run", replace(suite, methods=suite.methods[-1:]))
    (cell,) = run.cells
    with pytest.raises(KeyboardInterrupt):
        runner.run(run, listener=StopAt(cell.name, share))
    assert (run.cell_folder(cell) / "checkpoint" / "state.json").is_file()
    runner.run(folder.reopen(tmp_path / "run"))
    assert comparable(tmp_path / "run") == comparable(path)[-1:]
    mine, theirs = run.cell_folder(cell), path / "cells" / cell.name
    assert [*map(without_settings, story(mine))] == [*map(without_settings, story(theirs))]
    one, two = (load_file(at / "samples.safetensors")["samples"] for at in (mine, theirs))
    assert torch.equal(one, two)
    assert (mine / "samples.png").read_bytes() == (theirs / "samples.png").read_bytes()


def test_methods_differ(whole):
    _, path = whole
    runs = read_any_results(path).runs
    first = next(iter(runs[0].course.measures))
    start = {run.course.measures[first][0] for run in runs if "pseudo" not in run.method}
    assert len(start) == 1
    samples = [load_file(path / "cells" / r.cell / "samples.safetensors")["samples"] for r in runs]
    for place, one in enumerate(samples):
        assert all(not torch.equal(one, other) for other in samples[:place])


def test_a_damaged_checkpoint_says_what_to_do(make_suite, tmp_path):
    run = folder.create(tmp_path / "run", make_suite("points"))
    with pytest.raises(KeyboardInterrupt):
        runner.run(run, listener=StopAt(run.cells[0].name, 0.5))
    (file,) = (run.cell_folder(run.cells[0]) / "checkpoint").glob("trainer-*.safetensors")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(RunError, match=r"delete .* to run this cell again"):
        runner.run(folder.reopen(tmp_path / "run"))


def test_a_damaged_extractor_says_what_to_do(make_suite, tmp_path):
    suite = make_suite(steps=2)
    run = folder.create(tmp_path / "run", suite)
    runner.run(run)
    file = tmp_path / "run" / "shared" / "extractor.safetensors"
    file.write_bytes(b"nothing")
    with pytest.raises(RunError, match=r"extractor.safetensors is damaged; delete it"):
        runner.run(folder.reopen(tmp_path / "run", seeds=(1,)))


def test_what_is_shared_is_made_once_and_charged_to_all_who_need_it(make_suite, tmp_path):
    suite = make_suite(
        methods=("plain", "k-center+images", "kernel-herding+images"), embedding="classifier",
        steps=2,
    )  # fmt: skip
    runner.run(folder.create(tmp_path / "run", suite))
    plain, *chosen = read_any_results(tmp_path / "run").runs
    assert plain.prepare_seconds == 0
    # The same seconds to the last bit: they were measured once.
    assert chosen[0].prepare_seconds == chosen[1].prepare_seconds > 0
    # An epoch of the extractor on 300 rows, and their features.
    assert [run.selection_passes.forward for run in chosen] == [600, 600]
    assert [run.selection_passes.backward for run in chosen] == [300, 300]
    names = {file.name for file in (tmp_path / "run" / "shared").glob("*.safetensors")}
    assert names == {"extractor.safetensors", "embeddings.safetensors", "references.safetensors"}


def test_the_reference_model_is_trained_once_a_seed(make_suite, tmp_path):
    suite = make_suite(
        "diffusion", methods=("random-subset+reweighted", "instance-selection+reweighted"),
        steps=2, reference_steps=3,
    )  # fmt: skip
    runner.run(folder.create(tmp_path / "run", suite))
    one, two = read_any_results(tmp_path / "run").runs
    assert one.prepare_seconds > 0
    assert two.prepare_seconds > 0
    # Three steps of eight rows; two steps of the cell in which it is asked.
    assert one.selection_passes.forward == two.selection_passes.forward == 3 * 8 + 2 * 8
    assert one.selection_passes.backward == two.selection_passes.backward == 3 * 8
    shared = tmp_path / "run" / "shared"
    assert [file.name for file in shared.glob("reference-*.safetensors")] == [
        "reference-b8-s0.safetensors"
    ]
    assert not list(shared.glob("*.checkpoint"))


def test_passes_of_a_gan(make_suite, tmp_path):
    suite = make_suite("points", methods=("plain", "importance", "k-center"))
    runner.run(folder.create(tmp_path / "run", suite))
    plain, important, chosen = read_any_results(tmp_path / "run").runs
    # A step: fakes without gradient, two batches scored; fakes and their scores.
    assert plain.passes.forward == 6 * 8 * (1 + 2 + 2)
    assert plain.passes.backward == 6 * 8 * (2 + 2)
    assert important.passes == chosen.passes == plain.passes
    assert important.selection_passes.forward == 6 * 4 * 8
    assert important.selection_passes.backward == 6 * 4 * 8
    assert chosen.selection_passes.forward == 0
    assert chosen.seconds.select > 0


def test_seeds_and_batch_sizes_differ(make_suite, tmp_path):
    suite = make_suite("points", seeds=(0, 1), batch_sizes=(8, 16))
    runner.run(folder.create(tmp_path / "run", suite))
    runs = read_any_results(tmp_path / "run").runs
    assert [(run.batch_size, run.seed) for run in runs] == [(8, 0), (16, 0), (8, 1), (16, 1)]
    samples = [
        load_file(tmp_path / "run" / "cells" / run.cell / "samples.safetensors")["samples"]
        for run in runs
    ]
    assert not torch.equal(samples[0], samples[1])
    assert not torch.equal(samples[0], samples[2])


def test_a_cell_does_not_depend_on_the_others(make_suite, tmp_path):
    suite = make_suite("points", methods=("plain", "k-center"))
    runner.run(folder.create(tmp_path / "both", suite))
    runner.run(folder.create(tmp_path / "one", replace(suite, methods=("k-center",))))
    assert comparable(tmp_path / "one") == comparable(tmp_path / "both")[1:]


def test_loss_that_diverges_is_said(make_suite, tmp_path):
    suite = make_suite("points", learning_rate=1e30, steps=50, evaluate_every=50)
    with pytest.raises(RunError, match="became"):
        runner.run(folder.create(tmp_path / "run", suite))


def test_the_settings_of_an_older_run_that_differ_are_refused(make_suite, tmp_path):
    suite = make_suite("points", steps=2)
    run = folder.create(tmp_path / "run", suite)
    file = tmp_path / "run" / "settings.json"
    record = json.loads(file.read_text())
    record["settings"]["loss"] = "none"
    file.write_text(json.dumps(record))
    with pytest.raises(FormatError, match="loss"):
        folder.reopen(tmp_path / "run")
    assert run.finished() == []
