"""`clcore methods`: what is printed or written, and what is refused."""

import json

import pytest
from typer.testing import CliRunner

from benchmarks.cli import app
from benchmarks.reporting.methods_page import BEGIN, END


def clcore(*words, code=0):
    done = CliRunner().invoke(app, ["methods", *map(str, words)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of one cell."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    words = ["run", "split-digits", "--methods", "reservoir", "--seeds", "0", "--memory", "20",
             "--set", "scenario.sampled.samples=20", "--set", "epochs=1", "--set",
             "model.hidden=8", "--wandb", "disabled", "-q", "--out", str(folder)]  # fmt: skip
    assert CliRunner().invoke(app, words).exit_code == 0
    return folder


def test_the_table_is_printed(run):
    printed = clcore(run)
    assert "| split-digits (20, 1 seed) |" in printed
    accuracy = json.loads((run / "results.json").read_text())["runs"][0]["final_accuracy"]
    line = next(line for line in printed.splitlines() if line.startswith("| `reservoir`"))
    assert line.endswith(f"| {accuracy * 100:.1f} |")


def test_the_table_is_written_into_a_page(run, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"# Methods\n\n{BEGIN}\n{END}\n\nThe end.\n")
    assert clcore(run, "--out", page) == f"table: {page}\n"
    text = page.read_text("utf-8")
    assert text.startswith("# Methods\n")
    assert text.endswith("The end.\n")
    assert "| `gss` |" in text


def test_wrong_use_is_one_sentence_and_exit_code_2(run, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# No place here\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    record = json.loads((run / "results.json").read_text())
    (empty / "results.json").write_text(json.dumps({**record, "runs": []}))
    for words, said in (
        ([tmp_path / "nowhere"], "no results at"),
        ([run, run], "each suite may be given once"),
        ([empty], "the one of split-digits holds no result yet"),
        ([run, "--out", page], "has no place for the table"),
    ):
        told = clcore(*words, code=2)
        assert told.startswith("clcore: ")
        assert said in told
        assert told.count("\n") == 1
    assert page.read_text() == "# No place here\n"
    assert "Usage" in clcore(code=2)


def test_a_page_that_cant_be_written_is_one_sentence(run, tmp_path):
    (tmp_path / "file").write_text("")
    told = clcore(run, "--out", tmp_path / "file" / "page.md", code=1)
    assert told.startswith("clcore: ")
    assert told.count("\n") == 1
