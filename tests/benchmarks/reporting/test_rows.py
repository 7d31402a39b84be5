"""Lines of tables, whatever the kind of the suite."""

from pathlib import Path

from benchmarks.reporting.gather import Source
from benchmarks.reporting.results import BaseResults
from benchmarks.reporting.rows import (
    NOTHING,
    Row,
    console_lines,
    markdown_lines,
    markdown_rows,
    shown_rows,
    used_columns,
)

ROWS = [
    Row(("plain", "sgd", NOTHING, "1.0"), reference=True, best=False, order=(0,)),
    Row(("a|b", "sgd", NOTHING, "2.0"), reference=False, best=True, order=(1,)),
]


def test_columns_without_news_are_left_out():
    assert used_columns(ROWS) == [0, 1, 3]
    assert used_columns(ROWS, alike=[1]) == [0, 3]
    assert used_columns(ROWS[:1], alike=[3]) == [0, 1]
    assert used_columns([]) == []


def test_markdown_marks_references_and_the_best():
    assert markdown_rows(["method", "by", "none", "score"], ROWS, [0, 3], 3) == [
        "| method | score |",
        "| --- | ---: |",
        "| *plain* | 1.0 |",
        "| a\\|b | **2.0** |",
    ]
    assert markdown_lines(["a"], []) == ["| a |", "| --- |"]


def test_console_and_page_show_the_same_lines():
    lines = console_lines(ROWS, 3)
    assert [line.bold for line in lines] == [None, 3]
    assert [line.dim for line in lines] == [True, False]
    source = Source("run", Path("run"), BaseResults(suite="s", runs=[]))
    plain, best = shown_rows([(source, row) for row in ROWS], [0, 3], 3)
    assert (plain.label, plain.cells, plain.muted, plain.best) == (
        "run",
        ("plain", "1.0"),
        True,
        None,
    )
    assert (best.cells, best.muted, best.best) == (("a|b", "2.0"), False, 1)
