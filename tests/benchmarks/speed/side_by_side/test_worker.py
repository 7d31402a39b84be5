"""What a worker does with a contestant; nothing here looks at how long anything takes."""

import json

import numpy as np
import pytest

from benchmarks.speed.side_by_side import memory, worker
from benchmarks.speed.side_by_side.arrays import read, write
from benchmarks.speed.side_by_side.memory import PeakMemory
from benchmarks.speed.side_by_side.problem import Answer, Problem, solver


@pytest.fixture
def problem():
    return Problem({"features": np.zeros((700, 2), dtype=np.float32)}, k=100)


def test_each_round_has_a_seed_of_its_own(problem, monkeypatch):
    monkeypatch.setattr(worker, "SHORT", 0.0)
    seeds = []

    def solve(given):
        seeds.append(given.seed)
        return Answer.of([given.seed])

    figures = worker.measure(solve, problem, rounds=3, seconds=60)
    assert seeds == [0, 1, 2]
    assert [int(answer.picks[0]) for answer in figures.answers] == seeds
    assert figures.as_dict()["rounds"] == 3


def test_calls_too_short_to_time_are_timed_many_at_a_time(problem, monkeypatch):
    # Long enough that a call which has to wait for the processor is short all the same.
    monkeypatch.setattr(worker, "SHORT", 0.1)
    figures = worker.measure(lambda given: Answer.of([0]), problem, rounds=2, seconds=60)
    assert figures.calls > 1
    assert len(figures.answers) == len(figures.wall) == 2


def test_no_further_round_is_begun_that_would_end_too_late(problem, monkeypatch):
    monkeypatch.setattr(worker, "SHORT", 0.0)
    figures = worker.measure(lambda given: Answer.of([0]), problem, rounds=5, seconds=0)
    assert len(figures.answers) == 1


def test_the_untimed_call_is_a_small_part(problem):
    small = problem.small()
    assert small.features.shape == (600, 2)
    assert small.k == 32


@pytest.mark.parametrize("permitted", [True, False])
def test_peak_memory_sees_what_is_given_back_before_the_end(permitted, monkeypatch):
    if not permitted:
        monkeypatch.setattr(memory, "_reset_mark", lambda: False)
    with PeakMemory() as peak:
        for _ in range(3):
            np.ones(8_000_000).sum()  # 64 MB, gone again
            if not permitted:
                held = np.ones(8_000_000)
                peak._over.wait(0.05)  # time enough for the thread to look
                del held
    assert 50e6 < peak.bytes < 300e6


def test_a_job_from_file_to_file(tmp_path):
    files = write(tmp_path, "clustered", 50, 3)
    assert write(tmp_path, "clustered", 50, 3) == files
    job = {
        "code": "benchmarks.speed.contestants.loops:k_center_numpy",
        "arrays": {name: str(path) for name, path in files.items()},
        "k": 4,
        "options": {},
        "rounds": 2,
        "seconds": 60,
    }
    (tmp_path / "job.json").write_text(json.dumps(job))
    worker.main(tmp_path / "job.json")
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["cpu"] > 0
    assert figures["rounds"] == 2
    assert (tmp_path / "ready").exists()
    picks = np.load(tmp_path / "answers.npz")["picks-0"]
    expected = solver(job["code"])(Problem(read(files), 4)).picks
    assert picks.tolist() == expected.tolist()
