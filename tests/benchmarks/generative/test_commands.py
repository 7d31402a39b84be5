"""`clcore` on generative suites."""

from typer.testing import CliRunner

from benchmarks.cli import app
from benchmarks.reporting import read_any_results

SMALL = [
    "run", "gaussians-gan", "--seeds", "0", "--wandb", "disabled", "--set", "steps=2",
    "--set", "samples=20", "--set", "points=100", "--set", "network.hidden=8",
]  # fmt: skip


def clcore(*words, code=0):
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.stdout, done.stderr


def test_run_report_and_resume(tmp_path):
    path = tmp_path / "run"
    options = ["--methods", "plain,k_center+latents", "--batch-sizes", "4,8", "--out", path]
    printed, said = clcore(*SMALL, *options)
    assert "gaussians-gan" in printed
    assert "4/4 k-center+latents-b8-s0: recovered modes" in said
    assert "--batch-sizes 4,8" in read_any_results(path).settings["command"]
    clcore("run", "gaussians-gan", "--out", path, "--resume", "--batch-sizes", "10", "-q",
           "--wandb", "disabled")  # fmt: skip
    runs = read_any_results(path).runs
    assert [run.batch_size for run in runs] == [4, 4, 8, 8, 10, 10]
    printed, _ = clcore("report", path, "--out", tmp_path / "page.html")
    assert f"report: {tmp_path / 'page.html'}" in printed


def test_what_can_not_be_run_is_said_at_once(tmp_path):
    _, said = clcore(*SMALL, "--fractions", "0.1", "--out", tmp_path / "run", code=2)
    assert said == (
        "clcore: --fractions: gaussians-gan is a generative suite, which has no fractions; it has "
        "--methods, --batch-sizes, --seeds\n"
    )
    _, said = clcore("run", "split-digits", "--batch-sizes", "8", code=2)
    assert "--batch-sizes: split-digits is a continual suite" in said
    _, said = clcore(*SMALL, "--batch-sizes", "a", "--out", tmp_path / "run", code=2)
    assert "--batch-sizes: got 'a'" in said
    _, said = clcore(*SMALL, "--methods", "top-kk", "--out", tmp_path / "run", code=2)
    assert "top-k" in said
    _, said = clcore(
        *SMALL, "--methods", "plain,random-subset", "--batch-sizes", "8,51",
        "--out", tmp_path / "run", code=2,
    )  # fmt: skip
    assert said == (
        "clcore: batch_sizes: got 51; random-subset trains on 50 rows, so at most 50 is allowed\n"
    )
    assert not (tmp_path / "run").exists()


def test_the_list_says_the_kind():
    printed, _ = clcore("list", "suites")
    lines = {line.split()[0]: line.split()[1] for line in printed.splitlines()}
    assert lines["fmnist-gan"] == "generative"
    assert lines["mnist-craig"] == "offline"
