"""Contestants in processes of their own: figures, failures, limits, what is not installed."""

import textwrap

import numpy as np
import psutil
import pytest

from benchmarks.speed.side_by_side.contest import Contest, Judge
from benchmarks.speed.side_by_side.problem import Answer
from benchmarks.speed.side_by_side.row import Contestant, Row

LOOPS = "benchmarks.speed.contestants.loops:"
STRANGERS = """
import os, time
from benchmarks.speed.side_by_side.problem import Answer

def whole(problem):
    return len(problem.features) > 600

def sleeps(problem):
    if whole(problem):
        open(os.environ["STRANGER"], "w").write(str(os.getpid()))
        time.sleep(600)
    return Answer.of(range(problem.k))

def breaks(problem):
    raise ValueError("no luck today; try tomorrow")

def dies(problem):
    os.kill(os.getpid(), 9)

def repeats(problem):
    return Answer.of([0] * problem.k)

def threads(problem):
    assert os.environ["OMP_NUM_THREADS"] == os.environ["NUMBA_NUM_THREADS"] == "1"
    return Answer.of(range(problem.k))
"""


@pytest.fixture
def strangers(tmp_path, monkeypatch):
    """Contestants in a module outside of the project, which the workers can import."""
    (tmp_path / "strangers.py").write_text(textwrap.dedent(STRANGERS))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("STRANGER", str(tmp_path / "process"))


def row(*contestants, n=700, k=5):
    return Row("tiny", "k-center", "clustered", n, 3, k, contestants)


def run(tmp_path, *contestants, **settings):
    return list(Contest(tmp_path, seconds=0, **settings).run(row(*contestants)))


def test_two_contestants_get_the_same_work_and_the_same_judge(tmp_path):
    torch_loop, numpy_loop = run(
        tmp_path,
        Contestant("torch", f"{LOOPS}k_center_torch"),
        Contestant("numpy", f"{LOOPS}k_center_numpy"),
    )
    assert torch_loop.finished
    assert numpy_loop.finished
    assert torch_loop.objective == pytest.approx(numpy_loop.objective, rel=1e-6)
    assert numpy_loop.cpu > 0
    assert numpy_loop.peak_bytes >= 0
    assert numpy_loop.rounds >= 1


def test_a_contestant_over_the_limit_is_stopped(tmp_path, strangers):
    (late,) = run(tmp_path, Contestant("late", "strangers:sleeps"), limit=0.5)
    assert late.status == "too long"
    assert late.reason == "> 0.5 s"
    assert not psutil.pid_exists(int((tmp_path / "process").read_text()))


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("breaks", "ValueError: no luck today"),
        ("dies", "ended by signal 9, SIGKILL"),
        ("repeats", "it picked a row twice"),
    ],
)
def test_failures_are_said_in_a_few_words(tmp_path, strangers, function, reason):
    (failed,) = run(tmp_path, Contestant("someone", f"strangers:{function}"))
    assert failed.status == "failed"
    assert failed.reason.startswith(reason)


def test_a_worker_has_one_thread(tmp_path, strangers):
    (single,) = run(tmp_path, Contestant("single", "strangers:threads"))
    assert single.finished, single.reason


def test_what_cannot_be_started_is_not(tmp_path):
    absent, large, known = run(
        tmp_path,
        Contestant("absent", "x:y", needs=("no_such_package",)),
        Contestant("large", "x:y", matrices=1e9),
        Contestant("known", "x:y"),
        left_out={"tiny": frozenset({"known"})},
    )
    assert (absent.status, absent.reason) == ("not installed", "pip install 'clcore[peers]'")
    assert large.status == "too large"
    assert "GiB are free" in large.reason
    assert known.status == "left out"


def test_the_judge_looks_at_the_picks():
    judge = Judge(row(n=10, k=3), {"features": np.eye(10, dtype=np.float32)})
    assert judge.wrong(Answer.of([1, 2, 3])) is None
    assert judge.wrong(Answer.of([1, 2])) == "it picked 2 rows, not 3"
    assert judge.wrong(Answer.of([1, 2], [1.0, 1.0])) is None
    assert judge.wrong(Answer.of([1, 2, 10])) == "it picked a row that is not there"
    assert judge.wrong(Answer.of([1, 2, 2])) == "it picked a row twice"


def test_the_judge_remembers_what_it_evaluated(monkeypatch):
    judge = Judge(row(n=10, k=2), {"features": np.eye(10, dtype=np.float32)})
    first = judge.evaluate(Answer.of([1, 2]))
    judge.arrays = {}
    assert judge.evaluate(Answer.of([1, 2])) == first
    with pytest.raises(KeyError):
        judge.evaluate(Answer.of([2, 1]))
