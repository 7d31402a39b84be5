"""Offline suites through the runner: results, resuming, workers, the shared model."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from benchmarks import runner
from benchmarks.offline import OfflineResults
from benchmarks.offline.network import rate_factor
from benchmarks.reporting import read_any_results, read_events, read_results
from benchmarks.reporting.results import results_schema
from benchmarks.running import folder
from clcore.errors import ArgumentError, FormatError
from strategies.offline import heavy_rows, trainer

CLOCKS = (
    "seconds", "speedup", "speedup_accuracy", "speedup_cpu", "speedup_accuracy_cpu",
    "pretrain_seconds",
)  # fmt: skip


def comparable(path):
    """The runs of results.json with what is measured by the clock left out."""
    runs = json.loads((path / "results.json").read_text())["runs"]
    for run in runs:
        for name in CLOCKS:
            run.pop(name, None)
        for name in ("seconds", "selection_seconds", "cpu_seconds"):
            run["curves"].pop(name)
        for chosen in run["selections"]:
            chosen.pop("seconds")
    return runs


def story(path):
    events = read_events(path)
    for event in events:
        for name in ("time", "seconds", "selection_seconds", "cpu_seconds", "environment",
                     "result"):  # fmt: skip
            event.pop(name, None)
    return events


class StopAt(runner.Silent):
    def __init__(self, cell, share):
        self.cell, self.share = cell, share

    def progress(self, cell, share):
        if cell.name == self.cell and share >= self.share:
            raise KeyboardInterrupt


def test_what_a_run_leaves(finished):
    results = read_any_results(finished)
    assert isinstance(results, OfflineResults)
    assert (results.kind, len(results.runs)) == ("offline", 2 * (1 + 2 * 3))
    for run in results.runs:
        curves = run.curves
        assert curves.epochs == [0, 1, 2, 3, 4]
        assert curves.seconds[0] == 0
        assert curves.seconds == sorted(curves.seconds)
        assert curves.cpu_seconds == sorted(curves.cpu_seconds)
        assert curves.cpu_seconds[-1] > 0
        assert run.final_accuracy == pytest.approx(1 - curves.test_error[-1])
        total = run.seconds.train + run.seconds.select
        assert curves.seconds[-1] == pytest.approx(total)
        assert run.rows == 200
        chosen = 200 if run.method == "full" else round(run.fraction * 200)
        assert run.passes.forward == 4 * chosen
        assert sum(run.all_class_counts.values()) == 200
        assert all((finished / "cells" / run.cell / name).is_file()
                   for name in ("events.jsonl", "result.json"))  # fmt: skip
        assert not (finished / "cells" / run.cell / "checkpoint").exists()
        if run.method == "full":
            assert run.selections == []
            assert run.speedup == 1.0
            continue
        assert len(run.selections) == (1 if run.method == "random-fixed" else 4)
        assert sum(run.class_counts.values()) == chosen
        assert sum(run.class_weights.values()) == pytest.approx(chosen)
        kept = load_file(finished / "cells" / run.cell / "coreset.safetensors")
        assert len(kept["indices"]) == chosen
        assert int((kept["total_weight"] > 0).sum()) == run.rows_ever_chosen
        assert (finished / "cells" / run.cell / "heaviest.png").is_file()
        if run.method == "craig":
            for record in run.selections:
                # What CRAIG certifies for last-layer gradients holds.
                assert record.gradient_error <= record.error_bound * (1 + 1e-5)


def test_training_learns_and_craig_is_nearer_to_the_gradient_than_random(finished):
    runs = read_any_results(finished).runs
    full = [run for run in runs if run.method == "full"]
    assert all(run.curves.loss[-1] < 0.7 * run.curves.loss[0] for run in full)

    def first_error(method):
        return sum(run.selections[0].gradient_error for run in runs if run.method == method)

    assert first_error("craig") < 0.7 * first_error("random-fixed")


def test_the_event_log_tells_all(finished):
    events = read_events(finished / "cells" / "craig-f0.2-sgd-s0")
    assert [event["event"] for event in events] == [
        "start", "point", *["coreset", "point"] * 4, "end",
    ]  # fmt: skip
    start = events[0]
    assert (start["kind"], start["fraction"], start["optimizer"]) == ("offline", 0.2, "sgd")
    assert events[-1]["artifacts"] == {"coreset": "coreset.safetensors"}


def test_the_schema_knows_the_fields():
    assert "curves" in json.dumps(results_schema("offline"))
    with pytest.raises(FormatError, match="kind"):
        results_schema("other")


def test_readers_of_continual_results_refuse_them(finished):
    with pytest.raises(FormatError, match="'offline'"):
        read_results(finished)


@pytest.mark.parametrize(("place", "share"), [(0, 0.25), (3, 0.5), (3, 1.0)])
def test_interrupted(make_suite, tmp_path, place, share):
    suite = make_suite(schedule="cosine", augmentation="crop")
    runner.run(folder.create(tmp_path / "whole", suite))
    run = folder.create(tmp_path / "run", suite)
    cell = run.cells[place]
    with pytest.raises(KeyboardInterrupt):
        runner.run(run, listener=StopAt(cell.name, share))
    runner.run(folder.reopen(tmp_path / "run"))
    assert comparable(tmp_path / "run") == comparable(tmp_path / "whole")
    for other in run.cells:
        mine, theirs = run.cell_folder(other), tmp_path / "whole" / "cells" / other.name
        assert story(mine) == story(theirs)
        if (theirs / "coreset.safetensors").is_file():
            one, two = (load_file(at / "coreset.safetensors") for at in (mine, theirs))
            assert all(torch.equal(one[name], two[name]) for name in two)


def test_a_damaged_checkpoint_says_what_to_do(make_suite, tmp_path):
    run = folder.create(tmp_path / "run", make_suite(methods=("craig",)))
    with pytest.raises(KeyboardInterrupt):
        runner.run(run, listener=StopAt(run.cells[0].name, 0.5))
    file = run.cell_folder(run.cells[0]) / "checkpoint" / "trainer.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(Exception, match=r"delete .* to run this cell again"):
        runner.run(folder.reopen(tmp_path / "run"))


def test_resume_takes_further_fractions(finished, make_suite, tmp_path):
    suite = make_suite(methods=("full", "craig"))
    runner.run(folder.create(tmp_path / "run", suite))
    before = comparable(tmp_path / "run")
    results = runner.run(folder.reopen(tmp_path / "run", fractions=(0.5,)))
    assert results.settings["fractions"] == [0.2, 0.5]
    assert [run.cell for run in results.runs] == [
        "full-f1-sgd-s0", "craig-f0.2-sgd-s0", "craig-f0.5-sgd-s0",
    ]  # fmt: skip
    assert comparable(tmp_path / "run")[:2] == before


def test_workers_give_the_same(make_suite, tmp_path):
    suite = make_suite(methods=("full", "craig"), epochs=2)
    for name, workers in (("one", 1), ("two", 2)):
        runner.run(folder.create(tmp_path / name, suite), workers=workers)
    assert comparable(tmp_path / "one") == comparable(tmp_path / "two")


def test_from_scratch_by_a_model_that_is_trained_once(make_suite, tmp_path):
    suite = make_suite(
        methods=("full", "random", "craig", "forgetting", "glister"),
        pretrain_epochs=2,
        every=None,
        epochs=3,
    )
    results = runner.run(folder.create(tmp_path / "run", suite))
    runs = {run.method: run for run in results.runs}
    assert [f.name for f in (tmp_path / "run" / "shared").glob("*.safetensors")] == [
        "pretrained-sgd-s0.safetensors"
    ]
    assert runs["full"].pretrain_seconds == runs["random"].pretrain_seconds == 0
    spent = {runs[name].pretrain_seconds for name in ("craig", "forgetting", "glister")}
    assert len(spent) == 1
    assert spent.pop() > 0
    assert runs["craig"].seconds.select > runs["craig"].pretrain_seconds
    assert runs["craig"].selection_passes.forward >= 2 * 200
    assert runs["craig"].curves.selection_seconds[1] >= runs["craig"].pretrain_seconds
    # Trained from the same untrained model as full training.
    assert runs["craig"].curves.loss[0] == runs["full"].curves.loss[0]


def test_coresets_may_be_trained_on_for_longer(make_suite, tmp_path):
    suite = make_suite(methods=("full", "random"), epochs=2, coreset_epochs=5)
    results = runner.run(folder.create(tmp_path / "run", suite))
    assert [run.curves.epochs[-1] for run in results.runs] == [2, 5]


def test_wrong_labels_are_counted(make_suite, tmp_path):
    suite = make_suite(methods=("random", "el2n"), label_noise=0.2, warmup_epochs=3, epochs=4)
    results = runner.run(folder.create(tmp_path / "run", suite))
    runs = {run.method: run for run in results.runs}
    # Rows with the greatest errors are those with wrong labels.
    assert runs["el2n"].wrong_labels > runs["random"].wrong_labels
    assert runs["el2n"].hardest_chosen is not None


def test_heavy_rows_are_in_the_results_and_not_warned_of(make_suite, tmp_path, monkeypatch):
    told = []

    def warn(coreset, name, batch_size, **options):
        told.append(heavy_rows.warn_of_heavy_rows(coreset, name, batch_size, **options))
        return told[-1]

    monkeypatch.setattr(heavy_rows, "LIMIT", 0.0)
    monkeypatch.setattr(trainer, "warn_of_heavy_rows", warn)
    suite = make_suite(methods=("full", "craig"), epochs=2)
    # Warnings are errors here, so a cell that warned would have failed.
    results = runner.run(folder.create(tmp_path / "run", suite))
    assert told == [True]
    run = next(run for run in results.runs if run.method == "craig")
    assert run.weights.greatest > 1.0


def test_schedules(make_suite):
    def factors(**changes):
        suite = replace(make_suite(epochs=4), **changes)
        return [rate_factor(suite, epoch) for epoch in range(4)]

    assert factors() == [1, 1, 1, 1]
    assert factors(schedule="cosine")[0] == 1
    assert factors(schedule="cosine")[2] == pytest.approx(0.5)
    assert factors(schedule="steps") == pytest.approx([1, 1, 0.1, 0.01])
    assert factors(schedule="decay", rate_decay=1.0) == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
    assert factors(schedule="power", rate_decay=0.5) == [1, 0.5, 0.25, 0.125]
    assert factors(rate_warmup=2) == [0.5, 1, 1, 1]
    longer = make_suite(schedule="cosine")
    assert rate_factor(longer, 4, 0.2, 8) == pytest.approx(0.5)
    scaled = make_suite(scale_rate=True, warmup_epochs=1)
    assert [rate_factor(scaled, epoch, 0.2) for epoch in range(3)] == pytest.approx([1, 5, 5])
    assert rate_factor(scaled, 2, 1.0) == 1


def test_a_class_that_would_be_left_empty_stops_one_cell_only(make_suite, tmp_path):
    run = folder.create(tmp_path / "run", make_suite(methods=("full", "craig"), fractions=(0.01,)))
    with pytest.raises(Exception, match="empty"):
        runner.run(run)
    assert [cell.method for cell in run.finished()] == ["full"]


def test_runs_of_another_suite_are_not_resumed(finished):
    with pytest.raises(ArgumentError, match="tiny-offline"):
        folder.reopen(finished, name="mnist-craig")
