"""Methods against plain training: at equal steps and equal time, seed by seed."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as some

from benchmarks.generative.comparison import compare, value_at, verdict
from benchmarks.generative.record import GenerativeRun
from benchmarks.generative.verdicts import verdicts
from benchmarks.reporting import Spread


def run_of(method, seed, values, clock, *, size=8, higher=True, steps=None, cpu=True):
    course = {
        "steps": steps or [0, 10, 20],
        "seconds": [2 * second for second in clock],
        "selection_seconds": [0.0] * len(clock),
        "measures": {"score": values},
    }
    if cpu:
        course["cpu_seconds"] = clock
    return GenerativeRun.model_validate(
        {
            "method": method,
            "batch_size": size,
            "seed": seed,
            "course": course,
            "measures": [{"name": "score", "title": "score", "higher_is_better": higher}],
            "seconds": {"train": 1.0, "select": 0.0, "evaluate": 0.0},
            "passes": {"forward": 1, "backward": 1},
            "selection_passes": {"forward": 0, "backward": 0},
            "rows": 10,
            "rows_kept": 10,
        }
    )


def standing(contest, method, size=8):
    (found,) = [s for s in contest.standings if (s.method, s.batch_size) == (method, size)]
    return found


PLAIN = [
    run_of("plain", 0, [0, 4, 6], [0.0, 1.0, 2.0]),
    run_of("plain", 1, [0, 4, 7], [0.0, 2.0, 4.0]),
]


def test_equal_steps_and_equal_time():
    slow = [
        run_of("k-center", 0, [0, 6, 9], [0.0, 2.0, 4.0]),
        run_of("k-center", 1, [0, 6, 10], [0.0, 3.0, 5.0]),
    ]
    (found,) = compare([*slow, *PLAIN])
    assert found.batch_size == 8
    assert found.steps.at.mean == 20
    assert standing(found.steps, "plain").value.mean == 6.5
    assert standing(found.steps, "k-center").value.mean == 9.5
    assert standing(found.steps, "k-center").leads[0] == Spread.of([3, 3])
    # When plain training ends, after 2 and 4 seconds, the slow method is under way.
    assert found.time.clock == "cpu_seconds"
    assert found.time.at == Spread.of([2.0, 4.0])
    assert standing(found.time, "plain").value.mean == 6.5
    assert standing(found.time, "k-center").value == Spread.of([6.0, 8.0])
    assert standing(found.time, "k-center").leads[0] == Spread.of([0.0, 1.0])


def test_plain_training_with_twice_the_batch_stands_beside():
    double = [run_of("plain", seed, [0, 6, 8], [0.0, 3.0, 6.0], size=16) for seed in (0, 1)]
    chosen = [run_of("top-k", seed, [0, 5, 7], [0.0, 1.0, 2.0]) for seed in (0, 1)]
    (found,) = compare([*PLAIN, *double, *chosen])
    assert found.steps.references == (8, 16)
    assert [s.method for s in found.steps.standings] == ["plain", "top-k", "plain"]
    assert standing(found.steps, "top-k").leads[1].mean == -1
    assert standing(found.steps, "plain", 16).leads == (Spread.of([2, 1]), None)
    # At 2 and 4 seconds plain training with 16 is at 4, and at 6 2/3.
    assert standing(found.time, "plain", 16).value.mean == pytest.approx((4 + 6 + 2 / 3) / 2)


def test_null_where_a_run_never_got_that_far():
    runs = [
        run_of("top-k", 0, [0, 5, 7], [0.0, 0.95, 1.91]),  # within the tolerance
        run_of("top-k", 1, [0, 5, 7], [0.0, 1.0, 2.0]),
    ]
    (found,) = compare([*PLAIN, *runs])
    assert standing(found.time, "top-k").value == Spread.of([7.0])
    assert standing(found.time, "top-k").leads[0] == Spread.of([1.0])
    (found,) = compare([*PLAIN, runs[1]])
    assert standing(found.time, "top-k").value is None
    assert standing(found.time, "top-k").leads == (None,)


def test_wall_clock_where_processor_time_was_not_measured_by_all():
    runs = [run_of("top-k", seed, [0, 5, 7], [0.0, 2.0, 4.0], cpu=False) for seed in (0, 1)]
    (found,) = compare([*PLAIN, *runs])
    assert found.time.clock == "seconds"
    assert found.time.at == Spread.of([4.0, 8.0])
    assert "wall clock" in verdicts(found)[1]


def test_steps_are_the_last_that_all_have():
    longer = run_of("top-k", 0, [0, 5, 7, 9], [0.0, 1.0, 2.0, 3.0], steps=[0, 10, 20, 30])
    (found,) = compare([*PLAIN, longer])
    assert found.steps.at.mean == 20
    assert standing(found.steps, "top-k").value.mean == 7


def test_before_the_first_point_a_model_is_untrained():
    prepared = run_of("instance-selection", 0, [1, 5, 9], [3.0, 4.0, 5.0])
    assert value_at(prepared, "score", "cpu_seconds", 2.0) == 1
    assert value_at(prepared, "score", "cpu_seconds", 3.5) == 3
    assert value_at(prepared, "other", "cpu_seconds", 3.5) is None


def test_nothing_to_compare():
    assert compare(PLAIN) == []
    assert compare([run_of("top-k", 0, [0, 1, 2], [0.0, 1.0, 2.0])]) == []


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([1.0, 1.2], "ahead"),
        ([-1.0, -1.2], "behind"),
        ([-1.0, 1.2], "level"),
        ([0.0, 0.0], "level"),
        ([0.5, 0.5], "ahead"),
        ([3.0], "open"),
    ],
)
def test_verdicts_need_more_than_one_standard_error(values, found):
    assert verdict(Spread.of(values)) == found


def test_no_verdict_without_a_lead():
    assert verdict(None) == "open"


LEADS = some.lists(some.floats(-50, 50), min_size=2, max_size=6)


@given(LEADS)
def test_verdicts_are_those_of_the_standard_error(values):
    mean = math.fsum(values) / len(values)
    square = math.fsum((value - mean) ** 2 for value in values)
    error = math.sqrt(square / (len(values) - 1) / len(values))
    if abs(abs(mean) - error) > 1e-9:
        beyond = abs(mean) > error
        side = "ahead" if mean > 0 else "behind"
        assert verdict(Spread.of(values)) == (side if beyond else "level")


@given(LEADS, some.floats(-50, 50), some.booleans())
def test_leads_are_paired_and_positive_where_better(differences, common, higher):
    seeds = range(len(differences))
    clock = [0.0, 1.0, 2.0]
    plain = [run_of("plain", s, [0, 0, common * s], clock, higher=higher) for s in seeds]
    other = [
        run_of("top-k", s, [0, 0, common * s + difference], clock, higher=higher)
        for s, difference in zip(seeds, differences, strict=True)
    ]
    (found,) = compare([*plain, *other])
    mean = math.fsum(differences) / len(differences) * (1 if higher else -1)
    for contest in (found.steps, found.time):
        assert standing(contest, "top-k").leads[0].mean == pytest.approx(mean, abs=1e-9)


def test_leads_need_a_common_seed():
    (found,) = compare([PLAIN[0], run_of("top-k", 5, [0, 1, 2], [0.0, 1.0, 2.0])])
    assert standing(found.steps, "top-k").leads == (None,)
    assert standing(found.time, "top-k").value is None


def test_sentences():
    runs = [
        *PLAIN,
        *(run_of("k-center", s, [0, 7, 9 + s], [0.0, 1.0, 2.0]) for s in (0, 1)),
        *(run_of("top-k", s, [0, 4, 6.1 + 0.8 * s], [0.0, 3.0, 6.0]) for s in (0, 1)),
        *(run_of("importance", s, [0, 1, 1 + s], [0.0, 3.0, 6.0]) for s in (0, 1)),
    ]
    steps, time = verdicts(compare(runs)[0])
    assert steps.replace("\N{NO-BREAK SPACE}", " ") == (
        "Batch 8, equal steps (20), against plain with batch 8: "
        "ahead: k-center by 3.000 ± 0.000; behind: importance by 5.000 ± 0.000; "
        "no difference beyond one standard error: top-k; "
        "with fewer than 5 seeds each that is a hint at most."
    )
    assert "equal time (3.0 s of processor time)" in time
    assert "not to be told, for fewer than two seeds got there: k-center" in time
    level = verdicts(compare([run for run in runs if run.method in ("plain", "top-k")])[0])
    assert level[0].endswith("no difference beyond one standard error for any method.")
    alone = verdicts(compare([run for run in runs if run.seed == 0])[0])
    assert alone == ["Batch 8: nothing can be told with fewer than two seeds."]
