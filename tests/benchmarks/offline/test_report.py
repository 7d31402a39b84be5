"""Tables and pages of offline runs."""

import re
import shutil

import pytest

from benchmarks.offline import Weights
from benchmarks.offline.aggregate import aggregate
from benchmarks.offline.charts import class_chart, weights_chart
from benchmarks.offline.kind import Offline
from benchmarks.offline.table import COLUMNS, console_table, markdown_table, rows
from benchmarks.reporting import Results, Spread, read_any_results, write_results
from benchmarks.reporting.gather import open_sources
from benchmarks.reporting.html import compare, write_report
from clcore.errors import ArgumentError


@pytest.fixture
def results(finished):
    return read_any_results(finished)


def test_full_and_random_stand_beside_every_method(results):
    lines = rows(results)
    assert lines[0].cells[0] == "full"
    assert [line.cells[0] for line in lines].count("full") == 1
    first = [line.cells[0] for line in lines[1:4]]
    assert set(first[:2]) == {"random", "random-fixed"}
    assert first[2] == "craig"
    assert {line.cells[1] for line in lines[1:4]} == {"10"}
    assert all(" ± " in line.cells[3] for line in lines)
    assert not any(line.best for line in lines)


def test_lead_over_random_is_seed_by_seed(results):
    summaries = {(s.method, s.fraction): s for s in aggregate(results.runs)}
    craig = summaries[("craig", 0.2)]
    blind = max((summaries[(m, 0.2)] for m in ("random", "random-fixed")),
                key=lambda one: one.final_accuracy.mean)  # fmt: skip
    leads = [a.final_accuracy - b.final_accuracy
             for a, b in zip(craig.runs, blind.runs, strict=True)]  # fmt: skip
    line = next(r for r in rows(results) if r.cells[:2] == ("craig", "20"))
    assert line.cells[COLUMNS.index("against random")] == Spread.of(leads).text(scale=100)


def test_markdown(results):
    text = markdown_table(results)
    assert text.startswith("# tiny-offline\n")
    assert "| *full* | 100 |" in text
    assert "select s" in text
    assert "optimiser" not in text  # there is one only
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert len(widths) == 1


def test_the_console_leaves_out_what_does_not_fit(results):
    assert len(console_table(results, width=200).columns) > len(
        console_table(results, width=60).columns
    )


def test_the_page_is_self_contained(finished):
    page = write_report(finished).read_text()
    assert not re.search(r'(src|href)="(?!data:)', page)
    for heading in ("Training loss against time", "Test error against time", "Speed-up",
                    "Accuracy against fraction", "What was chosen", "Weights",
                    "Heaviest rows"):  # fmt: skip
        assert heading in page
    assert "data:image/png;base64," in page
    assert "nan" not in re.findall(r'points="([^"]*)"', page)
    assert page.count("<svg") == page.count("</svg>")


def test_several_runs_on_one_page(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "other")
    page = compare([finished, tmp_path / "other"], tmp_path / "page.html").read_text()
    assert "craig (run)" in page
    assert "craig (other)" in page


def test_kinds_are_not_mixed(finished, tmp_path):
    run = {
        "method": "reservoir", "seed": 0, "memory_size": 1, "memory_bytes": 1,
        "accuracy_matrix": [[0.5]], "final_accuracy": 0.5, "average_accuracy": 0.5,
        "average_forgetting": 0.0, "backward_transfer": 0.0, "learning_accuracy": 0.5,
        "seconds": {"train": 1, "select": 1, "evaluate": 1},
        "passes": {"forward": 1, "backward": 1}, "selection_passes": {"forward": 1, "backward": 1},
    }  # fmt: skip
    (tmp_path / "continual").mkdir()
    write_results(
        tmp_path / "continual", Results.model_validate({"suite": "split-digits", "runs": [run]})
    )
    with pytest.raises(ArgumentError, match="one kind of suite"):
        compare([finished, tmp_path / "continual"], tmp_path / "page.html")


def test_columns_for_wandb(finished):
    columns, data = Offline().methods_table(open_sources([finished]))
    assert columns[:5] == ["run", "method", "fraction", "optimizer", "seeds"]
    assert len(data) == 1 + 2 * 3
    assert all(len(line) == len(columns) for line in data)
    craig = next(line for line in data if line[1:3] == ["craig", 0.2])
    assert 0 < craig[columns.index("final_accuracy")] <= 1


def test_weights_and_classes_are_drawn():
    weights = Weights(
        least=0.5, median=1, greatest=2, effective_rows=3, edges=[0, 1, 2], counts=[2, 0]
    )
    assert weights_chart(weights, "craig").count("<rect") == 2
    drawn = class_chart([("all", [0.5, 0.5]), ("craig", [0.2, 0.8])], ["a <b>", "c"], "classes")
    assert drawn.count("<rect") == 4
    assert "a &lt;b&gt;" in drawn
