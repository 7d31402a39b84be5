"""The table: right numbers, honest marks, and a shape for every console."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from benchmarks.reporting.aggregate import Spread, aggregate
from benchmarks.reporting.results import Results
from benchmarks.reporting.rows import NOTHING
from benchmarks.reporting.table import (
    COLUMNS,
    best_of,
    console_table,
    markdown_table,
    note,
    quantity,
    rows,
    seconds_text,
)


@pytest.fixture
def three_seeds(record) -> Results:
    return Results.model_validate(record)


def many_seeds(synthetic, **options) -> Results:
    return Results.model_validate(synthetic.results(seeds=range(5), **options))


def test_rows_hold_the_numbers_of_the_summaries(three_seeds):
    lines = rows(three_seeds)
    summaries = aggregate(three_seeds.runs)
    assert [line.cells[0] for line in lines] == [s.method for s in summaries]
    assert [line.reference for line in lines] == [False] * 4 + [True] * 2
    first = lines[0].cells
    assert len(first) == len(COLUMNS)
    assert first[2] == summaries[0].final_accuracy.text(scale=100)
    assert first[-1] == "3"
    assert lines[-1].cells[1] == NOTHING


def test_markdown_is_a_table_with_its_note(three_seeds):
    text = markdown_table(three_seeds)
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 6
    assert len({line.count("|") for line in table}) == 1
    assert "| *naive* |" in text
    assert text.endswith(note(three_seeds) + "\n")


def test_no_winner_below_five_seeds(three_seeds):
    assert best_of(aggregate(three_seeds.runs)) == set()
    assert "**" not in markdown_table(three_seeds)
    assert "takes 5 seeds" in note(three_seeds)


def test_a_clear_winner_is_marked_from_five_seeds_on(synthetic):
    results = many_seeds(synthetic)
    assert best_of(aggregate(results.runs)) == {("herding", 200)}
    marked = [line for line in markdown_table(results).splitlines() if "**" in line]
    assert len(marked) == 1
    assert marked[0].startswith("| herding |")


def test_what_cannot_be_told_apart_is_marked_together(synthetic):
    record = synthetic.results(methods=("herding", "ring", "reservoir"), seeds=range(5))
    for run, value in zip(
        record["runs"],
        [0.70, 0.72, 0.71, 0.69, 0.70, 0.70, 0.71, 0.70, 0.69, 0.71] + [0.2] * 5,
        strict=False,
    ):
        run["final_accuracy"] = value
    # Runs come method by method: five of herding, five of ring, five of reservoir.
    summaries = aggregate(Results.model_validate(record).runs)
    assert best_of(summaries) == {("herding", 200), ("ring", 200)}


def test_identical_seeds_do_not_divide_by_zero(synthetic):
    record = synthetic.results(methods=("herding", "ring"), seeds=range(5))
    for run in record["runs"]:
        run["final_accuracy"] = 0.5 if run["method"] == "ring" else 0.4
    assert best_of(aggregate(Results.model_validate(record).runs)) == {("ring", 200)}


def test_one_method_alone_wins_nothing(synthetic):
    results = many_seeds(synthetic, methods=("herding", "naive", "joint"))
    assert best_of(aggregate(results.runs)) == set()


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_console_table_fits_and_cuts_no_cell(three_seeds, width):
    stream = io.StringIO()
    Console(file=stream, width=width).print(console_table(three_seeds, width=width))
    text = stream.getvalue()
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    for line in rows(three_seeds):
        assert line.cells[0] in text
        assert line.cells[2] in text
    assert ("more columns are in table.md" in text.replace("\n", " ")) == (width < 200)


def test_a_narrow_console_keeps_the_memory_size_where_there_are_several(synthetic):
    record = synthetic.results(methods=("ring", "herding"), sizes=(200, 500))
    stream = io.StringIO()
    table = console_table(Results.model_validate(record), width=50)
    Console(file=stream, width=50).print(table)
    assert "memory" in stream.getvalue()
    assert "500" in stream.getvalue()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (950, "950"), (999.7, "1.00k"), (12345, "12.3k"), (999_600, "1.00M"),
     (4_560_000, "4.56M"), (2.5e9, "2.50G")],
)  # fmt: skip
def test_quantities_have_three_digits(value, text):
    assert quantity(value) == text


def test_seconds_have_the_digits_they_deserve():
    assert seconds_text(Spread(0.0, 0.0, 3)) == "0"
    assert seconds_text(Spread(0.00412, 0.0002, 3)) == "0.004 ± 0.000"
    assert seconds_text(Spread(1.234, None, 1)) == "1.23"
    assert seconds_text(Spread(123.45, 1.0, 2)) == "123.5 ± 1.0"
