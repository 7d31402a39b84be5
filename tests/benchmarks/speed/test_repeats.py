"""Repeated figures: their spread, pairs of timings, and how tables write them."""

import json
import math

import pytest

from benchmarks.speed import repeats
from benchmarks.speed.figures import (
    Column,
    Table,
    digits,
    percent_more,
    seconds,
    times,
)
from benchmarks.speed.repeats import MeanError, Spread, Timings, paired


def test_spread_is_the_median_with_quartiles():
    assert Spread.of([5, 1, 3, 2, 4]) == Spread(3.0, 2.0, 4.0, 5)
    assert Spread.of([7.0]) == Spread(7.0, 7.0, 7.0, 1)
    with pytest.raises(ValueError, match="at least one"):
        Spread.of([])


def test_mean_has_a_standard_error():
    found = MeanError.of([1.0, 3.0, 5.0])
    assert (found.mean, found.repeats) == (3.0, 3)
    assert found.error == pytest.approx(2 / math.sqrt(3))
    assert MeanError.of([4.0]).error == 0.0
    with pytest.raises(ValueError, match="at least one"):
        MeanError.of([])


def test_ratio_is_that_of_the_rounds_and_not_of_the_medians():
    # A machine that gets ten times slower in the last round slows both alike.
    timings = Timings({"ours": (1.0, 1.0, 20.0), "theirs": (2.0, 2.0, 40.0)})
    assert timings.ratio("theirs", "ours") == Spread(2.0, 2.0, 2.0, 3)
    assert timings.spread("ours").median == 1.0


def test_no_ratio_to_what_the_clock_could_not_tell():
    timings = Timings({"ours": (1.0, 1.0), "theirs": (0.0, 0.0)})
    assert timings.ratio("ours", "theirs") is None


def test_every_other_round_runs_backwards():
    order = []
    work = {name: lambda name=name: order.append(name) for name in "abc"}
    timings = paired(work, rounds=3)
    assert "".join(order) == "abc" + "abc" + "cba" + "abc"
    assert [len(timings.seconds[name]) for name in "abc"] == [3, 3, 3]


def test_pairs_are_of_the_same_round(monkeypatch):
    clock = iter([0, 1, 10, 13, 20, 26, 30, 32])  # a: 1, b: 3, then b: 6, a: 2
    monkeypatch.setattr(repeats.time, "process_time", lambda: next(clock))
    timings = paired({"a": lambda: None, "b": lambda: None}, rounds=2, warm=False)
    assert timings.seconds == {"a": (1, 2), "b": (3, 6)}
    assert timings.ratio("b", "a").median == 3.0


def test_table_writes_spreads_dashes_and_plain_values():
    table = Table(
        "times",
        "What was timed",
        (
            Column("what", "what"),
            Column("cpu", "CPU", seconds),
            Column("ratio", "ratio", times),
            Column("more", "more", percent_more),
            Column("mean", "mean", digits(2)),
        ),
        [
            {
                "what": "a",
                "cpu": Spread(0.002, 0.001, 0.003, 5),
                "ratio": Spread(2.0, 2.0, 2.0, 1),
                "more": Spread(0.95, 0.9, 1.05, 5),
                "mean": MeanError(1.5, 0.25, 4),
            },
            {"what": "b", "mean": None},
        ],
        ("A note.",),
    )
    lines = table.markdown().splitlines()
    assert lines[0] == "What was timed"
    first = "| a | 2 ms (1 ms to 3 ms) | 2× | −5.0 % (−10.0 % to +5.0 %) | 1.50 ± 0.25 |"
    assert lines[4] == first
    assert lines[5] == "| b | – | – | – | – |"
    assert lines[-1] == "A note."
    plain = json.loads(json.dumps(table.as_plain(), allow_nan=False))
    assert plain["rows"][0]["cpu"] == {"median": 0.002, "low": 0.001, "high": 0.003, "repeats": 5}
    assert plain["rows"][1] == {"what": "b", "cpu": None, "ratio": None, "more": None, "mean": None}
