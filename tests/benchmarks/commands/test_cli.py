import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks import suites
from benchmarks.cli import app
from benchmarks.commands import shadows
from benchmarks.reporting import read_results

SMALL = [
    "run", "split-digits", "--methods", "reservoir", "--seeds", "0", "--memory", "20",
    "--set", "scenario.sampled.samples=20", "--set", "epochs=1", "--set", "model.hidden=8",
    "--wandb", "disabled",
]  # fmt: skip


def clcore(*words, code=0):
    """Run a command in this process; returns what it printed and said."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.stdout, done.stderr


@pytest.fixture
def finished(tmp_path):
    clcore(*SMALL, "--out", tmp_path / "run")
    return tmp_path / "run"


def test_run_prints_the_table_and_where_the_report_is(tmp_path):
    printed, said = clcore(*SMALL, "--out", tmp_path / "run")
    assert "final" in printed
    assert "reservoir" in printed
    assert f"report: {tmp_path / 'run' / 'report.html'}" in printed
    assert re.search(r"1/1 reservoir-m20-s0: \d+\.\d% in \d", said)
    assert (tmp_path / "run" / "results.json").is_file()


def test_quiet_prints_nothing(tmp_path):
    assert clcore(*SMALL, "--quiet", "--out", tmp_path / "run") == ("", "")


def test_the_folder_is_named_after_the_suite_and_never_reused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clcore(*SMALL, "-q")
    clcore(*SMALL, "-q")
    assert sorted(p.name for p in Path("runs").iterdir()) == ["split-digits", "split-digits-2"]


def test_resume_needs_nothing_but_the_folder(finished):
    before = (finished / "results.json").read_text()
    _, said = clcore("run", "--resume", "--out", finished, "--wandb", "disabled")
    assert "1 of 1 cells are finished already" in said
    assert (finished / "results.json").read_text() == before


def test_resume_adds_seeds(finished):
    clcore("run", "split-digits", "--resume", "--out", finished, "--seeds", "0-1", "-q",
           "--wandb", "disabled")  # fmt: skip
    assert [run.seed for run in read_results(finished).runs] == [0, 1]


def test_the_recorded_command_makes_the_same_run(finished, tmp_path):
    results = read_results(finished)
    words = shlex.split(results.settings["command"])[1:]
    clcore(*words, "--out", tmp_path / "again", "-q", "--wandb", "disabled")
    again = read_results(tmp_path / "again")
    assert again.settings == results.settings
    assert again.runs[0].accuracy_matrix == results.runs[0].accuracy_matrix


def test_overwrite(finished):
    clcore(*SMALL, "--out", finished, "--overwrite", "--set", "batch_size=5", "-q")
    assert read_results(finished).settings["batch_size"] == 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "split-digit"], "unknown suite 'split-digit'; did you mean split-digits"),
        (["run", "--methods", "resevoir"], "unknown method 'resevoir'; did you mean reservoir"),
        (["run", "--memory", "0"], "memory_sizes: got 0; a positive number"),
        (["run", "--memory", "-5"], "--memory: got '-5'; whole numbers with commas"),
        (["run", "--memory", "many"], "--memory: got 'many'; whole numbers with commas"),
        (["run", "--memory", ""], "--memory: got ''"),
        (["run", "--seeds", "0,0"], "seeds: 0 is given more than once"),
        (["run", "--set", "epoch=1"], "unknown setting 'epoch'; did you mean epochs"),
        (["run", "--set", "epochs=no"], "setting epochs: got 'no'"),
        (["run", "--set", "methods=x"], "unknown setting 'methods'"),
        (["run", "--set", "scenario.splt.x=1"], "unknown scenario 'splt'; did you mean split"),
        (["run", "--set", "scenario.split.x=1"], "scenario.split: has no option 'x'"),
        (["run", "--set", "dataset=mnst"], "unknown data set 'mnst'; did you mean mnist"),
        (["run", "--set", "model.name=mpl"], "unknown model 'mpl'; did you mean mlp"),
        (["run", "--wandb", "maybe"], "wandb mode: 'maybe' is unknown"),
        (["run", "--resume"], "--resume: --out says which run is meant"),
        (["run", "--overwrite"], "--overwrite: --out says which run is meant"),
        (["run", "--resume", "--overwrite"], "give one of them, not both"),
        (["run", "split-fmnist-er", "--memory", "300"], "--set learning_rate.300=0.1"),
        (["run", "split-mnist-online", "--methods", "herding"], "is an online stream without"),
        (["list", "method"], "unknown list 'method'; did you mean methods"),
        (["data", "get", "mnst"], "unknown data set 'mnst'; did you mean mnist"),
        (["report", "nowhere"], "no results at nowhere"),
        (["speed", "bufers"], "unknown speed group 'bufers'; did you mean buffers"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_code_2(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, stderr = clcore(*words, code=2)
    assert said in stderr
    assert stderr.startswith("clcore: ")
    assert stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "words", [["run", "--workers", "0"], ["run", "--what"], ["nothing"], ["list"], ["data", "get"]]
)
def test_unknown_options_and_commands(words):
    _, stderr = clcore(*words, code=2)
    assert "Usage" in stderr


def test_an_existing_folder_is_left_alone(finished):
    before = (finished / "results.json").read_text()
    _, stderr = clcore(*SMALL, "--out", finished, code=2)
    assert "holds a run already; nothing was changed" in stderr
    _, stderr = clcore(*SMALL[:2], "--resume", "--out", finished, "--set", "epochs=9", code=2)
    assert "other settings than epochs=9" in stderr
    (finished / "settings.json").write_text('{"schema": 0, "suite": "x", "settings": {}}')
    _, stderr = clcore(*SMALL[:2], "--resume", "--out", finished, code=2)
    assert "schema 0" in stderr
    assert (finished / "results.json").read_text() == before


def test_a_run_that_fails_says_how_to_go_on(finished):
    (finished / "cells" / "reservoir-m20-s0" / "result.json").unlink()
    (finished / "cells" / "reservoir-m20-s0" / "checkpoint" / "after-05").write_bytes(b"no")
    _, stderr = clcore("run", "--resume", "--out", finished, "--wandb", "disabled", code=1)
    assert "is damaged or no checkpoint" in stderr
    assert f"clcore run split-digits --out {finished} --resume" in stderr


def test_missing_data_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("CLCORE_DATA", str(tmp_path / "empty"))
    _, stderr = clcore(
        "run", "permuted-mnist", "--out", tmp_path / "run", "--wandb", "disabled", code=1
    )
    assert "clcore data get mnist" in stderr


def test_lists():
    for kind, name in (
        ("methods", "herding"), ("suites", "split-fmnist-er"), ("datasets", "fashion-mnist"),
        ("selectors", "k-center"), ("retrievals", "balanced"), ("objectives", "facility-location"),
        ("maximisers", "lazy"),
    ):  # fmt: skip
        printed, _ = clcore("list", kind)
        lines = {line.split()[0]: line for line in printed.splitlines()}
        assert len(lines[name].split()) > 2
    printed, _ = clcore("list", "suites")
    assert suites.names() == [line.split()[0] for line in printed.splitlines()]


def test_bundled_data_needs_no_fetching():
    assert "nothing to fetch" in clcore("data", "get", "digits")[0]


def test_report_of_one_and_of_several(finished, tmp_path):
    (finished / "report.html").unlink()
    printed, _ = clcore("report", finished)
    assert (finished / "report.html").is_file()
    assert f"report: {finished / 'report.html'}" in printed
    clcore(*SMALL, "--out", tmp_path / "other", "--set", "batch_size=5", "-q")
    clcore("report", finished, tmp_path / "other", "--out", tmp_path / "both.html")
    assert "batch_size" in (tmp_path / "both.html").read_text()


def test_speed_hands_on_what_it_is_told(monkeypatch, tmp_path):
    import benchmarks.speed

    def measure(group, out, *, quick, show):
        show(f"{group} {out} {quick}")
        return 0

    monkeypatch.setattr(benchmarks.speed, "run", measure)
    assert clcore("speed", "buffers", "--quick")[0] == "buffers None True\n"


# -- what hides what ------------------------------------------------------------------------


def test_nothing_is_hidden_here():
    assert shadows.shadows() == []


def test_what_hides_a_package_is_said(monkeypatch, tmp_path):
    real = shadows.home_of
    monkeypatch.setattr(
        shadows, "home_of", lambda package: tmp_path if package == "buffers" else real(package)
    )
    _, stderr = clcore("list", "suites", code=2)
    assert f"'buffers' is imported from {tmp_path}, which hides the one of clcore in" in stderr


def test_a_missing_package_is_said(monkeypatch):
    real = shadows.home_of
    monkeypatch.setattr(
        shadows, "home_of", lambda package: None if package == "strategies" else real(package)
    )
    assert "'strategies' of clcore is missing" in shadows.shadows()[0]


def test_homes_of_packages_modules_and_namespaces(monkeypatch, tmp_path):
    (tmp_path / "a_package").mkdir()
    (tmp_path / "a_package" / "__init__.py").write_text("")
    (tmp_path / "a_folder").mkdir()
    (tmp_path / "a_module.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("a_package", "a_folder", "a_module"):
        assert shadows.home_of(name) == tmp_path
    assert shadows.home_of("no_such_package_anywhere") is None


# -- as a process ---------------------------------------------------------------------------

START = "from benchmarks.cli import main; main()"


def process(*words, cwd=None, env=None):
    return subprocess.run(
        [sys.executable, "-X", "importtime", "-c", START, *words], capture_output=True, text=True,
        cwd=cwd, env={**os.environ, **(env or {})}, check=False,
    )  # fmt: skip


def test_help_is_fast_because_it_imports_nothing_heavy():
    done = process("--help")
    assert done.returncode == 0
    assert all(command in done.stdout for command in ("run", "list", "data", "select", "report"))
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "typer" in imported
    heavy = {"torch", "numpy", "avalanche", "wandb", "matplotlib", "sklearn", "pydantic", "jinja2"}
    assert not heavy & imported


def test_a_real_process_runs_from_a_folder_with_a_shadowing_file(tmp_path):
    (tmp_path / "buffers.py").write_text("")
    done = process("list", "suites", cwd=tmp_path)
    assert done.returncode == 2
    assert "rename or remove it" in done.stderr
    assert json.dumps(str(tmp_path))[1:-1] in done.stderr


def test_a_server_that_does_not_answer_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    # wandb keeps what it reads from the environment; other tests shall not find it.
    monkeypatch.setattr("wandb.sdk.wandb_setup._singleton", None)
    words = [word for word in SMALL if word not in ("--wandb", "disabled")]
    _, stderr = clcore(*words, "-q", "--out", tmp_path / "run")
    assert stderr.startswith("warning: wandb: no answer from http://127.0.0.1:9")
    assert stderr.count("\n") == 1
    assert len(list((tmp_path / "run" / "wandb").glob("offline-run-*"))) == 2
