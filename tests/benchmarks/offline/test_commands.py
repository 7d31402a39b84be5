"""`clcore` on offline suites."""

import pytest
from typer.testing import CliRunner

from benchmarks.cli import app
from benchmarks.commands.run import _fractions
from benchmarks.reporting import read_any_results
from clcore.errors import ArgumentError

SMALL = [
    "run", "mnist-craig", "--methods", "full,random", "--seeds", "0",
    "--set", "dataset=digits", "--set", "train_rows=100", "--set", "validation_rows=10",
    "--set", "epochs=2", "--set", "model.hidden=8", "--wandb", "disabled",
]  # fmt: skip


def clcore(*words, code=0):
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.stdout, done.stderr


def test_run_report_and_resume(tmp_path):
    path = tmp_path / "run"
    printed, said = clcore(*SMALL, "--fractions", "20%", "--out", path)
    assert "mnist-craig" in printed
    assert "2/2 random-f0.2-sgd-s0" in said
    command = read_any_results(path).settings["command"]
    assert "--fractions 0.2" in command
    clcore("run", "mnist-craig", "--out", path, "--resume", "--fractions", "0.2,0.5", "-q",
           "--wandb", "disabled")  # fmt: skip
    assert len(read_any_results(path).runs) == 3
    printed, _ = clcore("report", path, "--out", tmp_path / "page.html")
    assert f"report: {tmp_path / 'page.html'}" in printed
    assert "Test error against time" in (tmp_path / "page.html").read_text()


def test_options_of_the_other_kind_are_refused(tmp_path):
    _, said = clcore(*SMALL, "--memory", "20", "--out", tmp_path / "run", code=2)
    assert said == (
        "clcore: --memory: mnist-craig is an offline suite, which has no memory; it has "
        "--methods, --fractions, --optimizers, --seeds\n"
    )
    _, said = clcore("run", "split-digits", "--fractions", "0.1", code=2)
    assert "a continual suite" in said


def test_the_list_says_the_kind():
    printed, _ = clcore("list", "suites")
    lines = {line.split()[0]: line.split()[1] for line in printed.splitlines()}
    assert lines["mnist-craig"] == "offline"
    assert lines["split-digits"] == "continual"


def test_fractions():
    assert _fractions("1%, 7%,0.5") == (0.01, 0.07, 0.5)
    assert _fractions(None) is None
    for wrong in ("a tenth", "%", ""):
        with pytest.raises(ArgumentError, match="--fractions"):
            _fractions(wrong)
