"""Tables of generative runs: plain training first, the extractor named, a best only where due."""

import re

import numpy as np
import pytest
from rich.console import Console

from benchmarks.generative.aggregate import aggregate
from benchmarks.generative.printing import digits_of, error_text
from benchmarks.generative.record import GenerativeResults, Measure
from benchmarks.generative.table import HEADLINE, console_table, markdown_table, methods_table, rows
from benchmarks.reporting import Spread, read_any_results
from benchmarks.reporting.gather import open_sources
from clcore.errors import ArgumentError


def results_of(record):
    return GenerativeResults.model_validate(record)


@pytest.fixture
def results(synthetic):
    return results_of(synthetic.results())


def test_plain_comes_first_then_the_best(results):
    lines = rows(results)
    assert [line.cells[1] for line in lines] == ["64"] * 4 + ["128"] * 4
    for start in (0, 4):
        block = lines[start : start + 4]
        assert [line.reference for line in block] == [True, False, False, False]
        values = [float(line.cells[HEADLINE].split()[0]) for line in block[1:]]
        assert values == sorted(values, reverse=True)


def test_lower_is_better_where_the_measure_says_so(synthetic):
    results = results_of(synthetic.results(measures=synthetic.images))
    block = rows(results)[1:4]
    values = [float(line.cells[HEADLINE].split()[0]) for line in block]
    assert values == sorted(values)
    assert [line.best for line in block] == [True, False, False]


def test_every_number_is_a_mean_over_seeds(results):
    line = next(line for line in rows(results) if line.cells[:2] == ("k-center", "64"))
    runs = [run for run in results.runs if (run.method, run.batch_size) == ("k-center", 64)]
    finals = [run.course.measures["high_quality"][-1] * 100 for run in runs]
    assert line.cells[3] == f"{np.mean(finals):.1f} ± {np.std(finals, ddof=1):.1f}"
    share = [run.seconds.select / (run.seconds.select + run.seconds.train) * 100 for run in runs]
    assert line.cells[HEADLINE + 5].startswith(f"{np.mean(share):.1f}")
    assert line.cells[-1] == "5"
    kept = {line.cells[0]: line.cells[HEADLINE + 7] for line in rows(results)}
    assert kept == {"plain": "all", "k-center": "all", "top-k": "all", "random-subset": "50.0k"}


def test_a_best_takes_five_seeds_and_a_difference(synthetic, results):
    assert [line.cells[0] for line in rows(results) if line.best] == ["k-center"] * 2
    few = results_of(synthetic.results(seeds=(0, 1, 2, 3)))
    assert not any(line.best for line in rows(few))
    assert "No method is marked as best" in markdown_table(few)
    alone = results_of(synthetic.results(methods=("plain",)))
    assert not any(line.best for line in rows(alone))
    close = results_of(synthetic.results(methods=("plain", "top-k"), sizes=(64,)))
    assert [line.best for line in rows(close)] == [True, True]


def test_markdown_has_both_tables(results):
    text = markdown_table(results)
    assert text.startswith("# gaussians-gan\n")
    assert "| *plain* | 64 |" in text
    assert re.search(r"\| k-center \| 64 \| \*\*[\d.]+ ± [\d.]+\*\* \|", text)
    assert "### Batch 64" in text
    assert "lead over plain (batch 128)" in text
    assert (
        "- Batch 64, equal steps (2,000), against plain with batch 64: ahead: k-center by" in text
    )
    for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_no_distance_is_called_plain_fid(synthetic):
    text = markdown_table(results_of(synthetic.results(measures=synthetic.images)))
    assert "Fréchet distance (classifier features) ↓" in text
    assert "FID" not in text


def test_processor_time_is_left_out_where_nobody_measured_it(synthetic):
    text = markdown_table(results_of(synthetic.results(cpu=False)))
    assert "CPU s" not in text.splitlines()[2]
    assert "of wall clock" in text


def test_the_console_has_the_sentences_and_what_fits(results):
    wide, narrow = console_table(results, width=200), console_table(results, width=60)
    assert len(wide.columns) > len(narrow.columns)
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(wide)
    shown = console.export_text()
    assert "against plain with batch 64: ahead: k-center by" in shown
    assert "By recovered modes, leads ± standard errors" in shown


def test_columns_for_wandb(synthetic_run):
    columns, data = methods_table(open_sources([synthetic_run]))
    assert columns[:6] == [
        "run", "method", "batch_size", "seeds", "recovered_modes", "recovered_modes_std",
    ]  # fmt: skip
    assert len(data) == 8
    assert all(len(line) == len(columns) for line in data)
    results = read_any_results(synthetic_run)
    (plain,) = [s for s in aggregate(results.runs) if (s.method, s.batch_size) == ("plain", 64)]
    (line,) = [line for line in data if line[1:3] == ["plain", 64]]
    assert line[4] == plain.final.mean
    assert line[columns.index("seconds")] == plain.seconds.mean


def test_a_cell_may_be_there_once(synthetic):
    record = synthetic.results()
    record["runs"].append(record["runs"][0])
    with pytest.raises(ArgumentError, match="plain with batch size 64 and seed 0 is there twice"):
        aggregate(results_of(record).runs)


@pytest.mark.parametrize(
    ("means", "percent", "digits"),
    [([15.5, 18.0], False, 2), ([250.0], False, 1), ([0.00123], False, 6), ([0.5], True, 1),
     ([], False, 1), ([0.0], False, 1), ([3200.0], False, 1)],
)  # fmt: skip
def test_digits(means, percent, digits):
    measure = Measure(name="m", title="m", higher_is_better=True, percent=percent)
    assert digits_of([Spread(mean, None, 1) for mean in means], measure) == digits


def test_leads_in_print():
    measure = Measure(name="m", title="m", higher_is_better=True, percent=True)
    lead = Spread.of([0.01, 0.03])
    assert error_text(lead, measure, 1) == "+2.0 ± 1.0"
    assert error_text(Spread.of([-0.01, -0.03]), measure, 1, sign=False) == "2.0 ± 1.0"
    assert error_text(Spread(-0.0001, None, 1), measure, 1) == "0.0"
