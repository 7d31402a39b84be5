"""When the ratio of two times counts."""

import json

import pytest

from benchmarks.speed.side_by_side.outcome import Outcome, why_not_counted


def outcome(objective, **more):
    return Outcome("someone", cpu=1.0, wall=1.0, objective=objective, **more)


@pytest.mark.parametrize(
    ("ours", "theirs", "better", "counts"),
    [
        (10.0, 10.0, "smaller", True),
        (9.0, 10.0, "smaller", True),
        (10.009, 10.0, "smaller", True),
        (10.011, 10.0, "smaller", False),
        (11.0, 10.0, "larger", True),
        (9.991, 10.0, "larger", True),
        (9.989, 10.0, "larger", False),
        (-5.0, -6.0, "larger", True),
        (-6.1, -6.0, "larger", False),
    ],
)
def test_ours_must_be_at_least_theirs_up_to_a_thousandth(ours, theirs, better, counts):
    reason = why_not_counted(outcome(ours), outcome(theirs), better=better)
    assert (reason is None) == counts
    assert counts or "% better" in reason


def test_drawn_answers_may_differ_by_two_standard_errors():
    ours, theirs = outcome(10.4, error=0.15), outcome(10.0, error=0.2)
    assert why_not_counted(ours, theirs, better="smaller") is None
    assert why_not_counted(outcome(10.6, error=0.15), theirs, better="smaller") is not None


def test_rounding_alone_counts():
    ours, theirs = outcome(3e-7), outcome(2e-7)
    assert why_not_counted(ours, theirs, better="smaller", slack=1e-5) is None
    assert why_not_counted(ours, theirs, better="smaller") is not None


def test_what_did_not_finish_does_not_count():
    late = Outcome("late", "too long", "> 120 s")
    assert "it did not" in why_not_counted(outcome(1.0), late, better="smaller")
    assert "ours did not" in why_not_counted(late, outcome(1.0), better="smaller")


def test_a_measure_of_time_alone_counts():
    nothing = Outcome("forward and backward", cpu=1.0, wall=1.0)
    assert why_not_counted(outcome(1.0), nothing, better="smaller") is None
    assert "no objective" in why_not_counted(nothing, outcome(1.0), better="smaller")


def test_what_is_not_a_number_is_null_in_the_file():
    written = json.loads(json.dumps(Outcome("a", "failed", "why").as_dict(), allow_nan=False))
    assert written["cpu"] is None
    assert written["status"] == "failed"
