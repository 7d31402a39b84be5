"""Means and deviations against the statistics module, and the order of the summaries."""

from __future__ import annotations

import statistics

import pytest

from benchmarks.reporting.aggregate import Spread, accuracy_curve, aggregate
from benchmarks.reporting.results import Results
from clcore.errors import ArgumentError


def test_spread_is_mean_and_sample_deviation():
    values = [0.2, 0.5, 0.9]
    spread = Spread.of(values)
    assert spread.mean == pytest.approx(statistics.mean(values))
    assert spread.std == pytest.approx(statistics.stdev(values))
    assert spread.text(scale=100) == "53.3 ± 35.1"


def test_one_value_has_no_deviation():
    spread = Spread.of([0.5])
    assert spread.std is None
    assert spread.text(scale=100, digits=2) == "50.00"


def test_no_value_is_an_error_and_minus_zero_is_zero():
    with pytest.raises(ArgumentError, match="at least one value"):
        Spread.of([])
    assert Spread.of([-0.0001]).text() == "0.0"


def test_groups_by_method_and_size_in_a_useful_order(synthetic):
    record = synthetic.results(
        methods=("ring", "herding", "joint", "naive"), sizes=(500, 200), seeds=(2, 0)
    )
    summaries = aggregate(Results.model_validate(record).runs)
    assert [(s.method, s.memory_size) for s in summaries] == [
        ("herding", 200),
        ("ring", 200),
        ("herding", 500),
        ("ring", 500),
        ("joint", 0),
        ("naive", 0),
    ]
    assert all(s.seeds == (0, 2) for s in summaries)
    first = summaries[0]
    own = [r for r in record["runs"] if r["method"] == "herding" and r["memory_size"] == 200]
    assert first.final_accuracy.mean == pytest.approx(
        statistics.mean(r["final_accuracy"] for r in own)
    )
    assert first.passes.mean == 14370 * 2 + 4000
    # Measured for seed 0 only, so the other seed has no say.
    assert first.forward_transfer == Spread(-0.01, None, 1)


def test_the_same_cell_twice_is_an_error(record):
    record["runs"].append(record["runs"][0])
    with pytest.raises(ArgumentError, match="reservoir with memory 200 and seed 0 is there twice"):
        aggregate(Results.model_validate(record).runs)


def test_curve_averages_what_was_seen():
    assert accuracy_curve([[1.0, 0.0], [0.5, 0.9]]) == [1.0, pytest.approx(0.7)]
    # Joint training is measured once: all columns count.
    assert accuracy_curve([[0.8, 0.6]]) == [pytest.approx(0.7)]


def test_curves_and_matrices_are_means_over_seeds(record):
    summary = aggregate(Results.model_validate(record).runs)[0]
    last = summary.curve()[-1]
    assert last.mean == pytest.approx(summary.final_accuracy.mean)
    assert last.std == pytest.approx(summary.final_accuracy.std)
    matrix = summary.mean_matrix()
    assert len(matrix) == 5
    assert sum(matrix[-1]) / 5 == pytest.approx(summary.final_accuracy.mean)
