import json
import shlex
from dataclasses import replace

import pytest

from benchmarks import suites
from benchmarks.running import folder
from benchmarks.running.failures import DiskError
from benchmarks.settings import override
from clcore.errors import ArgumentError, FormatError


def content(path):
    return {p.relative_to(path): p.read_bytes() for p in path.rglob("*") if p.is_file()}


@pytest.fixture
def begun(tiny, tmp_path):
    path = tmp_path / "run"
    folder.create(path, tiny)
    return path


def test_begin_and_reopen(tiny, begun):
    run = folder.reopen(begun)
    assert run.suite == tiny
    assert len(run.cells) == 4
    assert run.finished() == []
    assert run.results().runs == []


def test_an_existing_run_is_not_overwritten_by_accident(tiny, begun):
    before = content(begun)
    with pytest.raises(ArgumentError, match=r"holds a run already; nothing was changed.*--resume"):
        folder.create(begun, tiny)
    assert content(begun) == before


def test_overwriting_removes_what_a_run_wrote_and_nothing_else(tiny, begun):
    (begun / "notes.txt").write_text("mine")
    (begun / "cells" / "old").mkdir()
    (begun / "report.html").write_text("old")
    folder.create(begun, replace(tiny, seeds=(7,)), overwrite=True)
    assert not (begun / "report.html").exists()
    assert not (begun / "cells" / "old").exists()
    assert (begun / "notes.txt").read_text() == "mine"
    assert folder.reopen(begun).suite.seeds == (7,)


@pytest.mark.parametrize("name", ["thesis.tex", "settings.json"])
def test_a_folder_of_something_else_is_never_touched(tiny, tmp_path, name):
    (tmp_path / name).write_text("{}")
    for overwrite in (False, True):
        with pytest.raises(ArgumentError, match="holds files, but no run of clcore; nothing was"):
            folder.create(tmp_path, tiny, overwrite=overwrite)
    assert (tmp_path / name).read_text() == "{}"


def test_a_file_in_place_of_the_folder(tiny, tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(ArgumentError, match="is a file; a folder is needed"):
        folder.create(tmp_path / "run", tiny)


def test_a_folder_that_cant_be_made(tiny, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="Not a directory"):
        folder.create(tmp_path / "file" / "run", tiny)


def test_an_empty_folder_is_fine(tiny, tmp_path):
    assert folder.create(tmp_path, tiny).cells


def test_what_cant_be_run_leaves_no_folder(tiny, tmp_path):
    with pytest.raises(ArgumentError):
        folder.create(tmp_path / "run", replace(tiny, methods=("no-such-method",)))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (None, "there is no settings.json"),
        ("{", "not valid JSON"),
        ("[]", "has no 'schema' number"),
        ('{"schema": 99}', "schema 99, this version continues schema 1; nothing was changed"),
        ('{"schema": 1}', "is damaged: 'settings'"),
    ],
)
def test_a_folder_from_another_schema_or_damaged(begun, record, words):
    file = begun / "settings.json"
    file.unlink() if record is None else file.write_text(record)
    before = content(begun)
    with pytest.raises(FormatError, match=words):
        folder.reopen(begun)
    assert content(begun) == before


def test_damaged_settings_are_named(begun):
    record = json.loads((begun / "settings.json").read_text())
    record["settings"]["epochs"] = "some"
    (begun / "settings.json").write_text(json.dumps(record))
    with pytest.raises(FormatError, match="setting epochs: got 'some'"):
        folder.reopen(begun)


def test_other_settings_are_refused(begun):
    before = content(begun)
    with pytest.raises(ArgumentError, match="other settings than batch_size=20; nothing was"):
        folder.reopen(begun, assignments=["epochs=2", "batch_size=20"])
    with pytest.raises(ArgumentError, match="is a run of split-digits, not of permuted-mnist"):
        folder.reopen(begun, name="permuted-mnist")
    assert content(begun) == before


def test_settings_that_agree_may_be_given_again(begun):
    assert folder.reopen(begun, name="split_digits", assignments=["epochs=2"]).suite.epochs == 2


def test_more_cells_may_be_asked_for(begun):
    run = folder.reopen(begun, methods=("ring",), seeds=(1, 2))
    names = [cell.name for cell in run.cells]
    assert len(names) == len(set(names)) == 6
    assert names[4:] == ["ring-m20-s1", "ring-m20-s2"]
    assert run.suite.methods == ("reservoir", "herding+nem", "ring")
    assert run.suite.seeds == (0, 1, 2)
    assert [c.name for c in folder.reopen(begun).cells] == names


def test_the_command_makes_the_run_again():
    suite = suites.find("split-digits")
    assert folder.command_of(suite) == "clcore run split-digits"
    other = override(suite, ["epochs=3", "scenario.sampled.samples=9", "learning_rate=0.5"])
    other = replace(other, methods=("ring",), seeds=(4,), memory_sizes=(7, 8))
    words = shlex.split(folder.command_of(other))
    assert words[:9] == [
        "clcore", "run", "split-digits", "--methods", "ring", "--memory", "7,8", "--seeds", "4",
    ]  # fmt: skip
    again = override(suite, [words[i + 1] for i, word in enumerate(words) if word == "--set"])
    assert replace(again, methods=("ring",), seeds=(4,), memory_sizes=(7, 8)) == other


def test_the_hash_tells_what_cells_compute_and_not_which_are_run(tiny, tmp_path):
    def hash_of(suite, name):
        return folder.create(tmp_path / name, suite).settings["hash"]

    first = hash_of(tiny, "a")
    assert hash_of(replace(tiny, seeds=(5,), methods=("ring",)), "b") == first
    assert hash_of(replace(tiny, epochs=3), "c") != first


def test_a_free_folder(tmp_path):
    assert folder.free_folder(tmp_path, "x").name == "x"
    (tmp_path / "x").mkdir()
    (tmp_path / "x-2").mkdir()
    assert folder.free_folder(tmp_path, "x").name == "x-3"
