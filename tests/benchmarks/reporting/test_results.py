"""results.json: what is accepted, what is refused, and that nothing is lost."""

from __future__ import annotations

import json
import os
import stat

import pytest

from benchmarks.reporting.results import (
    Results,
    parse_results,
    read_results,
    results_schema,
    write_results,
    write_text_atomically,
)
from clcore.errors import ArgumentError, FormatError


def test_round_trip_keeps_every_field_and_those_of_later_writers(record, tmp_path):
    record["colour"] = "blue"
    record["runs"][0]["note"] = {"kept": True}
    file = write_results(tmp_path, Results.model_validate(record))
    assert file == tmp_path / "results.json"
    again = json.loads(file.read_text())
    assert again == record
    assert read_results(tmp_path) == read_results(file)
    assert read_results(file).runs[0].cell == "reservoir-m200-s0"


def test_writing_replaces_in_one_step_and_leaves_no_scrap(record, tmp_path, monkeypatch):
    results = Results.model_validate(record)
    write_results(tmp_path, results)
    before = (tmp_path / "results.json").read_text()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_results(tmp_path, results)
    assert (tmp_path / "results.json").read_text() == before
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]


def test_files_are_as_readable_as_the_users_others(tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    write_text_atomically(tmp_path / "ours", "text")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_missing_results_name_the_file(tmp_path):
    with pytest.raises(FormatError, match=r"no results at .*results\.json"):
        read_results(tmp_path)
    with pytest.raises(FormatError, match="no results at"):
        read_results(tmp_path / "nowhere")


def test_damaged_json_is_said(tmp_path):
    (tmp_path / "results.json").write_text('{"schema": 1, "sui')
    with pytest.raises(FormatError, match="not valid JSON"):
        read_results(tmp_path)
    (tmp_path / "results.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match="not valid JSON"):
        read_results(tmp_path)


@pytest.mark.parametrize("schema", [0, 2, "1", None])
def test_another_schema_is_named(record, schema):
    record["schema"] = schema
    with pytest.raises(FormatError, match=r"written with schema .* reads schema 1"):
        parse_results(record)


@pytest.mark.parametrize("foreign", [[], "text", {"accuracy": 1}, None])
def test_foreign_records_are_refused(foreign):
    with pytest.raises(FormatError, match="not a results"):
        parse_results(foreign)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("final_accuracy",), 1.2, "final_accuracy"),
        (("final_accuracy",), float("nan"), "final_accuracy"),
        (("final_accuracy",), None, "final_accuracy"),
        (("memory_size",), -1, "memory_size"),
        (("accuracy_matrix",), [], "accuracy_matrix"),
        (("accuracy_matrix",), [[0.1, 0.2], [0.3]], "rows differ"),
        (("accuracy_matrix",), [[0.1, 3.0]], "accuracy_matrix"),
        (("backward_transfer",), -1.5, "backward_transfer"),
        (("seconds", "train"), -0.1, r"seconds\.train"),
        (("passes", "forward"), "many", r"passes\.forward"),
        (("memory_class_counts",), {"0": -1}, "memory_class_counts"),
    ],
)
def test_a_damaged_field_is_named(record, path, value, message):
    place = record["runs"][0]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(FormatError, match=message):
        parse_results(record)


def test_write_takes_results_only(tmp_path):
    with pytest.raises(ArgumentError, match="results must be a Results"):
        write_results(tmp_path, {"schema": 1})


def test_json_schema_names_the_public_fields():
    schema = results_schema()
    assert set(schema["required"]) >= {"suite", "runs"}
    assert schema["properties"]["schema"]["default"] == 1
    assert "schema_number" not in schema["properties"]
    run = schema["$defs"]["Run"]["properties"]
    assert {"accuracy_matrix", "final_accuracy", "selection_passes"} <= set(run)
