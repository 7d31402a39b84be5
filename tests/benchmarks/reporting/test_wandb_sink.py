"""A cell's wandb run, read back with wandb's own reader: nothing missing, nothing black."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import textwrap
import types
from pathlib import Path

import numpy as np
import pytest
import wandb

from benchmarks.reporting import wandb_run
from benchmarks.reporting.events import EventLog
from benchmarks.reporting.images import read_picture
from benchmarks.reporting.wandb_sink import WandBSink, feed, live
from benchmarks.reporting.wandb_summary import summary
from clcore.errors import FormatError


@pytest.fixture(scope="module")
def fed(tmp_path_factory, inspect_run):
    """One cell, fed offline and read back: (cell folder, run, stderr of the feeding process)."""
    folder = tmp_path_factory.mktemp("run")
    conftest = Path(__file__).with_name("conftest.py")
    # A process of its own, so that all that wandb prints, at its exit too, is seen.
    script = textwrap.dedent(
        f"""
        import importlib.util, pathlib
        spec = importlib.util.spec_from_file_location("maker", {str(conftest)!r})
        maker = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(maker)
        from benchmarks.reporting.wandb_sink import feed
        folder = pathlib.Path({str(folder)!r})
        record = maker.make_results(methods=("herding",), seeds=(0,))
        cell = maker.write_cell(folder, record["runs"][0], record)
        (cell / "checkpoint").mkdir()
        (cell / "checkpoint" / "model.safetensors").write_bytes(b"weights")
        print(feed(cell, mode="offline").folder)
        """
    )
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", script], capture_output=True, text=True, check=True
    )
    (cell,) = (folder / "cells").iterdir()
    return cell, inspect_run(Path(done.stdout.strip())), done.stderr


def test_wandb_is_quiet_and_deprecates_nothing(fed):
    _, _, stderr = fed
    assert "deprecat" not in stderr.lower()
    ours = [line for line in stderr.splitlines() if "ResourceWarning" not in line]
    assert [line for line in ours if "_warnings.warn" not in line] == []


def test_the_run_is_named_grouped_and_configured(fed):
    _, run, _ = fed
    (header,) = run.of("run")
    assert header["display_name"] == "herding-m200-s0"
    assert header["run_group"] == "split-digits"
    assert header["job_type"] == "herding"
    assert header["project"] == "clcore"
    assert header["run_id"].startswith("split-digits-herding-0-200-")
    assert set(header["tags"]) >= {"split-digits", "herding", "seed 0", "memory 200"}
    assert run.config["settings"]["optimizer"] == {"lr": 0.1, "name": "sgd"}
    assert run.config["memory_size"] == 200
    assert run.config["environment"]["torch"] == "2.14.1"
    assert run.of("exit")[0]["exit_code"] == 0


def test_every_metric_is_on_its_axis_with_its_values(fed):
    cell, run, _ = fed
    result = json.loads((cell / "result.json").read_text())
    matrix = result["accuracy_matrix"]
    assert run.axes["accuracy/*"] == run.axes["memory/*"] == "experience"
    assert run.axes["train/*"] == "iteration"
    for column in range(5):
        logged = run.series("experience", f"accuracy/exp_{column:02d}")
        assert logged == pytest.approx({row: matrix[row][column] for row in range(5)})
    assert run.series("experience", "accuracy/average")[4] == pytest.approx(
        result["final_accuracy"]
    )
    assert run.series("experience", "forgetting/exp_00")[4] == pytest.approx(
        max(row[0] for row in matrix[:4]) - matrix[4][0]
    )
    assert run.series("experience", "transfer/backward")[4] == pytest.approx(
        result["backward_transfer"]
    )
    assert run.series("experience", "transfer/forward") == {4: -0.01}
    assert set(run.series("iteration", "train/loss")) == set(range(10, 101, 10))
    assert 10 not in run.series("iteration", "train/replay_loss")
    assert run.series("experience", "memory/turnover")[1] == 0.5
    assert run.series("experience", "memory/filled") == dict.fromkeys(range(5), 1)
    assert run.series("experience", "memory/age_mean")[3] == 300
    assert run.series("experience", "memory/class_counts.values")[1] == [50] * 4 + [0] * 6
    assert run.series("experience", "selection/forward_passes")[4] == 4000


def test_each_event_is_one_log_call(fed):
    cell, run, _ = fed
    lines = (cell / "events.jsonl").read_text().splitlines()
    assert len(run.history) == len(lines) - 1  # the start is the config


def test_exemplars_have_the_right_pixels(fed):
    cell, run, _ = fed
    paths = run.series("experience", "memory/exemplars.path")
    assert sorted(paths) == [0, 1, 2, 3, 4]
    for experience, path in paths.items():
        logged = read_picture(run.file(path))
        assert np.array_equal(logged, read_picture(cell / f"exemplars-{experience:02d}.png"))
        assert logged.max() == 255
        assert logged.std() > 20


def test_the_accuracy_matrix_is_a_picture_and_a_long_table(fed):
    cell, run, _ = fed
    matrix = json.loads((cell / "result.json").read_text())["accuracy_matrix"]
    last = run.history[-1]
    picture = read_picture(run.file(last["accuracy/matrix.path"]))
    blue = (picture[..., 2].astype(int) - picture[..., 0]) > 40
    assert 0.05 < blue.mean() < 0.6
    table = json.loads(run.file(last["accuracy/matrix_table.path"]).read_text())
    assert table["columns"] == ["trained_on", "tested_on", "accuracy"]
    assert table["data"] == [
        [i, j, pytest.approx(matrix[i][j])] for i in range(5) for j in range(5)
    ]
    panels = [record for record in run.of("config") if "confusion_matrix" in json.dumps(record)]
    assert panels


def test_artifacts_lie_in_the_run_folder_with_their_bytes(fed):
    cell, run, _ = fed
    artifacts = run.artifacts
    memory = artifacts["memory"]["memory.safetensors"]
    assert memory.read_bytes() == (cell / "memory.safetensors").read_bytes()
    result = json.loads(artifacts["result"]["result.json"].read_text())
    assert result == json.loads((cell / "result.json").read_text())
    assert artifacts["checkpoint"]["model.safetensors"].read_bytes() == b"weights"
    wandb_folder = cell.parents[1] / "wandb"
    for files in artifacts.values():
        for path in files.values():
            assert path.is_relative_to(wandb_folder)


@pytest.fixture
def cell(tmp_path, synthetic):
    record = synthetic.results(methods=("ring",), seeds=(0,))
    return synthetic.cell(tmp_path / "run", record["runs"][0], record)


def test_feeding_again_replaces_the_run(cell):
    first = feed(cell, mode="offline")
    staged = cell.parents[1] / "wandb" / "staged"
    again = feed(cell, mode="offline")
    assert again.run_id == first.run_id
    folders = list((cell.parents[1] / "wandb").glob("offline-run-*"))
    assert folders == [again.folder]
    assert len(list(staged.iterdir())) == 1


def test_a_users_own_run_and_environment_are_left_alone(cell, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "theirs"))
    with wandb.init(
        mode="offline", dir=tmp_path, project="mine", settings=wandb_run.quiet_settings()
    ) as own:
        fed = feed(cell, mode="offline")
        assert fed.run_id != own.id
        assert wandb.run is own
        own.log({"x": 1})
    assert os.environ["WANDB_DATA_DIR"] == str(tmp_path / "theirs")


def test_a_killed_cell_is_fed_as_far_as_it_came_and_marked(cell, inspect_run):
    log = cell / "events.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:10]) + '{"event":"tra')
    run = inspect_run(feed(cell, mode="offline").folder)
    assert len(run.history) == 9
    assert run.of("exit")[0]["exit_code"] == 1


def test_a_live_run_that_goes_on_shows_whole(cell, inspect_run):
    log = cell / "events.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    written = [json.loads(line) for line in lines]
    stop = next(i for i, e in enumerate(written) if e["event"] == "selection") + 2
    resume = {"event": "resume", "iteration": 20, "experience": 1}
    log.write_text("".join(lines[:stop]) + json.dumps(resume) + "\n")
    sink = live(cell, mode="offline")
    with EventLog(log, [sink]) as events:
        for event in written[stop - 1 :]:
            events.write(event)
    assert sink.run is None
    run = inspect_run(sink.fed.folder)
    assert list(run.series("iteration", "train/loss")) == list(range(10, 101, 10))
    assert len(run.history) == len(lines) - 1


def test_a_disabled_run_writes_nothing(cell):
    fed = feed(cell, mode="disabled")
    assert fed.folder is None
    assert fed.mode == "disabled"
    assert not (cell.parents[1] / "wandb").exists()


def test_what_fails_in_wandb_is_one_sentence_and_stops_nothing(cell, monkeypatch, caplog):
    failure = types.new_class("Broken", (Exception,))
    failure.__module__ = "wandb.somewhere"

    def broken(*_, **__):
        raise failure("the service is gone\nwith details")

    monkeypatch.setattr(wandb, "init", broken)
    with caplog.at_level(logging.WARNING):
        assert feed(cell, mode="offline") is None
    assert len(caplog.messages) == 1
    assert "the service is gone; logging to wandb stops, nothing is lost" in caplog.text


def test_an_online_run_that_cannot_start_goes_on_offline(cell, monkeypatch, caplog):
    real = wandb.init

    def unreachable(*, mode, **options):
        if mode == "online":
            raise wandb.errors.CommError("no route to the server\nmore")
        return real(mode=mode, **options)

    monkeypatch.setattr(wandb, "init", unreachable)
    with caplog.at_level(logging.WARNING):
        fed = feed(cell, mode="online")
    assert fed.mode == "offline"
    assert fed.run_id.endswith("-offline")
    assert caplog.messages == [
        "wandb: no route to the server, the run is kept offline, send it later with `wandb sync`"
    ]
    again = feed(cell, mode="offline")
    assert list((cell.parents[1] / "wandb").glob("offline-run-*")) == [again.folder]


def test_an_unreachable_server_costs_no_event(cell, tmp_path, inspect_run):
    script = textwrap.dedent(
        f"""
        import logging
        logging.basicConfig(format="%(message)s")
        from benchmarks.reporting.events import read_events
        from benchmarks.reporting.wandb_run import quiet_settings
        from benchmarks.reporting.wandb_sink import WandBSink
        settings = quiet_settings()
        settings.init_timeout = 1
        sink = WandBSink({str(cell)!r}, mode="online", settings=settings)
        for event in read_events({str(cell)!r}):
            sink.handle(event)
        print(sink.fed.folder)
        """
    )
    environment = {
        **os.environ, "WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "a" * 40,
        "HOME": str(tmp_path),
    }  # fmt: skip
    environment.pop("WANDB_MODE", None)
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    run = inspect_run(Path(done.stdout.strip()))
    assert len(run.history) == len((cell / "events.jsonl").read_text().splitlines()) - 1
    assert done.stderr.count("the run is kept offline") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace('"exemplars-00.png"', '"../../../etc/passwd"'), "outside of it"),
        (lambda text: text.replace('"average_accuracy"', '"other"'), "'evaluation' event lacks"),
        (lambda text: "nonsense\n" + text, "line 1 is damaged"),
        (lambda text: text.replace('"schema":1', '"schema":2'), "written with schema 2"),
    ],
)
def test_damaged_logs_are_refused(cell, change, message):
    log = cell / "events.jsonl"
    log.write_text(change(log.read_text()))
    with pytest.raises(FormatError, match=message):
        feed(cell, mode="disabled")


def test_events_before_the_start_and_of_other_names_are_left_alone(tmp_path):
    sink = WandBSink(tmp_path, mode="disabled")
    sink.handle({"event": "train", "iteration": 1})
    sink.handle({"event": "something new"})
    assert sink.run is None


def test_the_summary_run_has_the_table_of_all_methods(run_folder, inspect_run):
    (run_folder / "table.md").write_text("table")
    fed = summary(run_folder, mode="offline")
    run = inspect_run(fed.folder)
    (header,) = run.of("run")
    assert header["job_type"] == "summary"
    assert header["run_group"] == "split-digits"
    (logged,) = run.history
    table = json.loads(run.file(logged["summary/methods.path"]).read_text())
    assert table["columns"][:6] == [
        "run", "method", "memory_size", "seeds", "final_accuracy", "final_accuracy_std",
    ]  # fmt: skip
    assert [row[1] for row in table["data"]] == [
        "herding", "k-means", "reservoir", "ring", "joint", "naive",
    ]  # fmt: skip
    assert all(isinstance(value, int | float) for value in table["data"][0][3:])
    assert set(run.artifacts["results"]) == {"results.json", "table.md"}
    assert summary(run_folder, mode="disabled").folder is None


def test_a_summary_of_one_seed_has_blank_deviations(synthetic, tmp_path, inspect_run):
    folder = synthetic.folder(tmp_path / "one", methods=("ring",), seeds=(0,))
    run = inspect_run(summary(folder, mode="offline").folder)
    table = json.loads(run.file(run.history[0]["summary/methods.path"]).read_text())
    assert table["data"][0][5] is None
