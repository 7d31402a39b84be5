"""report.html: complete, self-contained, well-formed, safe."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser

import pytest

from benchmarks.reporting import html
from benchmarks.reporting.gather import inside, open_sources
from benchmarks.reporting.results import read_results
from benchmarks.reporting.table import rows
from clcore.errors import ArgumentError, FormatError

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """Checks nesting; collects text, attributes and ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.attributes, self.words, self.tags = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes.extend((tag, *pair) for pair in attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes.extend((tag, *pair) for pair in attributes)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def assert_self_contained(text: str) -> None:
    page = Page(text)
    for tag, name, value in page.attributes:
        if name in ("src", "href", "srcset", "action", "data", "poster"):
            assert value.startswith(("data:", "#")), (tag, name, value)
    assert "http://" not in text
    assert "https://" not in text
    assert not re.search(r"@import|url\(", text)
    policies = [v for tag, name, v in page.attributes if tag == "meta" and name == "content"]
    assert any(policy.startswith("default-src 'none'") for policy in policies)


def test_the_page_is_well_formed_and_requests_nothing(run_folder):
    out = html.write_report(run_folder)
    assert out == run_folder / "report.html"
    assert_self_contained(out.read_text())


def test_the_page_shows_all_that_was_measured(run_folder):
    page = Page(html.write_report(run_folder).read_text())
    for row in rows(read_results(run_folder)):
        assert row.cells[0] in page.text
        mean, _, std = row.cells[2].partition(" ± ")
        assert f"{mean} ± {std}" in page.text
    sections = {value for tag, name, value in page.attributes if (tag, name) == ("section", "id")}
    assert sections == {
        "table", "curves", "matrices", "forgetting", "memory", "exemplars", "cost", "settings",
        "environment",
    }  # fmt: skip
    assert "optimizer.lr" in page.text
    assert "abc1234" in page.text
    assert "digit 7" in page.text
    command = "clcore run split-digits --methods reservoir,herding,ring,k-means,naive,joint"
    assert f"{command} --seeds 0,1,2 --memory 200" in page.text
    assert page.tags.count("polygon") == 2 * 5  # bands, for desk and phone; naive leaves below


def test_exemplars_are_the_files_of_the_cells(run_folder):
    page = Page(html.write_report(run_folder).read_text())
    pictures = [value for tag, name, value in page.attributes if (tag, name) == ("img", "src")]
    assert len(pictures) == 4
    files = {path.read_bytes() for path in run_folder.glob("cells/*-s0/exemplars-04.png")}
    prefix = "data:image/png;base64,"
    assert {base64.b64decode(picture.removeprefix(prefix)) for picture in pictures} == files


def test_a_few_seeds_are_called_an_impression(run_folder):
    text = Page(html.write_report(run_folder).read_text()).text
    assert "With 3 seeds a method this is an impression" in text
    assert "ends best" not in text


def test_five_seeds_may_name_a_winner_and_sizes_get_their_own_charts(synthetic, tmp_path):
    folder = synthetic.folder(
        tmp_path / "big", methods=("ring", "herding", "naive"), sizes=(200, 500), seeds=range(5)
    )
    page = Page(html.write_report(folder).read_text())
    assert "With 200 exemplars, herding ends best" in page.text
    assert "memory of 200" in page.text
    assert "memory of 500" in page.text
    assert any(
        tag == "td" and name == "class" and value == "best" for tag, name, value in page.attributes
    )


def test_several_runs_side_by_side(run_folder, synthetic, tmp_path):
    other = synthetic.folder(tmp_path / "runs" / "other", methods=("ring", "naive"), seeds=(7,))
    record = json.loads((other / "results.json").read_text())
    record["settings"]["optimizer"]["lr"] = 0.03
    (other / "results.json").write_text(json.dumps(record))
    out = html.compare([run_folder, other / "results.json"], tmp_path / "compare.html")
    assert_self_contained(out.read_text())
    page = Page(out.read_text())
    assert "comparison of 2 runs" in page.text
    assert "ring (demo)" in page.text
    assert "ring (other)" in page.text
    assert "differs demo other optimizer.lr 0.1 0.03" in page.text


def test_runs_of_the_same_name_are_told_apart(synthetic, tmp_path):
    first = synthetic.folder(tmp_path / "a" / "demo", methods=("ring",), seeds=(0,))
    second = synthetic.folder(tmp_path / "b" / "demo", methods=("ring",), seeds=(0,))
    assert [s.label for s in open_sources([first, second])] == ["a/demo", "b/demo"]


def test_results_alone_make_a_page_without_the_memory(run_folder, tmp_path):
    lone = tmp_path / "lone"
    lone.mkdir()
    (lone / "results.json").write_bytes((run_folder / "results.json").read_bytes())
    page = Page(html.write_report(lone).read_text())
    sections = {value for tag, name, value in page.attributes if (tag, name) == ("section", "id")}
    assert "memory" not in sections
    assert "exemplars" not in sections
    assert "curves" in sections


def test_a_damaged_event_log_is_named_on_the_page(run_folder):
    for log in run_folder.glob("cells/ring-*/events.jsonl"):
        log.write_text("not json\n" + log.read_text())
    text = Page(html.write_report(run_folder).read_text()).text
    assert re.search(r"The memory of ring is not shown: .*line 1 is damaged", text)


def test_names_cannot_inject_markup(synthetic, tmp_path):
    folder = synthetic.folder(tmp_path / "x", methods=("ring",), seeds=(0,))
    record = json.loads((folder / "results.json").read_text())
    record["suite"] = record["runs"][0]["method"] = '<script>alert("1")</script>'
    record["settings"]["a"] = "<img src=x onerror=alert(1)>"
    (folder / "results.json").write_text(json.dumps(record))
    text = html.write_report(folder).read_text()
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert Page(text).tags.count("script") == 1


def test_a_log_cannot_name_files_outside_of_its_cell(run_folder):
    secret = run_folder / "secret.png"
    secret.write_bytes(b"secret")
    with pytest.raises(FormatError, match="outside of it"):
        inside(run_folder / "cells", "../secret.png")
    for log in run_folder.glob("cells/ring-*/events.jsonl"):
        log.write_text(log.read_text().replace("exemplars-04.png", "../../secret.png"))
    text = html.write_report(run_folder).read_text()
    assert base64.b64encode(b"secret").decode() not in text
    assert "outside of it" in text


def test_references_alone_still_make_a_page(synthetic, tmp_path):
    folder = synthetic.folder(tmp_path / "x", methods=("naive", "joint"), seeds=(0,))
    text = Page(html.write_report(folder).read_text()).text
    assert "No method with a memory was run." in text


def test_joint_measured_once_is_a_level(synthetic, tmp_path):
    folder = synthetic.folder(tmp_path / "x", methods=("ring", "joint"), seeds=(0,))
    record = json.loads((folder / "results.json").read_text())
    for run in record["runs"]:
        if run["method"] == "joint":
            run["accuracy_matrix"] = run["accuracy_matrix"][-1:]
    (folder / "results.json").write_text(json.dumps(record))
    assert_self_contained(html.write_report(folder).read_text())


def test_bad_input_is_said_in_one_sentence(run_folder, tmp_path):
    with pytest.raises(ArgumentError, match="at least one run folder"):
        html.compare([], tmp_path / "x.html")
    with pytest.raises(ArgumentError, match="given twice"):
        html.compare([run_folder, run_folder / "results.json"], tmp_path / "x.html")
    with pytest.raises(ArgumentError, match="does not exist"):
        html.compare([run_folder], tmp_path / "missing" / "x.html")
    with pytest.raises(FormatError, match="no results at"):
        html.write_report(tmp_path)
    record = json.loads((run_folder / "results.json").read_text())
    (tmp_path / "results.json").write_text(json.dumps({**record, "runs": []}))
    with pytest.raises(FormatError, match="no finished run"):
        html.write_report(tmp_path)


def test_only_numbers_get_minus_signs():
    assert html.number("-1.2 ± 0.3") == "\N{MINUS SIGN}1.2<small> ± 0.3</small>"
    assert html.number("speed-up, top-5") == "speed-up, top-5"
    assert html.number("<b>") == "&lt;b&gt;"
