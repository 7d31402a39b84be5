import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from benchmarks.commands import progress
from benchmarks.commands.progress import Progress
from benchmarks.running.plan import Cell

CELLS = [Cell("ring", 20, seed) for seed in range(4)]
RUN = SimpleNamespace(
    final_accuracy=0.5, seconds=SimpleNamespace(train=1.0, select=0.5, evaluate=0.5)
)


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(value=100.0)
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now.value)
    return now


def watching(quiet=False, terminal=False):
    shown = io.StringIO()
    bar = Progress(1, quiet=quiet)
    bar.console = Console(file=shown, force_terminal=terminal, width=100)
    bar.bars.live.console = bar.console
    return bar, shown


def test_the_estimate_counts_from_the_first_work(clock):
    bar, shown = watching()
    bar.begin(CELLS, CELLS[:1])
    clock.value += 60  # starting the workers says nothing about the rest
    bar.started(CELLS[1])
    assert bar.left() is None
    bar.progress(CELLS[1], 0.2)
    clock.value += 8
    bar.progress(CELLS[1], 0.9)
    # 0.7 of a cell in 8 seconds, 2.1 cells are left.
    assert bar.left() == "about 24 s left"
    clock.value += 2
    bar.done(CELLS[1], RUN)
    assert bar.left() == "about 25 s left"
    clock.value += 1000
    assert bar.left() == "about 42 min 5 s left"
    clock.value += 10000
    assert bar.left() == "about 7 h 38 min left"
    assert "1 of 4 cells are finished already" in shown.getvalue()
    assert "2/4 ring-m20-s1: 50.0% in 2.0 s, about 25 s left" in shown.getvalue()


def test_a_bar_on_a_terminal(clock):
    bar, _ = watching(terminal=True)
    bar.begin(CELLS, [])
    bar.started(CELLS[0])
    bar.progress(CELLS[0], 0.5)
    bar.bars.refresh()
    task = bar.bars.tasks[0]
    assert (task.completed, task.total, task.fields["count"]) == (0.5, 4, "0/4")
    assert task.description == "ring-m20-s0"


def test_quiet_shows_failures_only(clock):
    bar, shown = watching(quiet=True)
    with bar:
        bar.begin(CELLS, CELLS[:1])
        bar.started(CELLS[1])
        bar.done(CELLS[1], RUN)
        bar.failed(CELLS[2], "a sentence")
    assert shown.getvalue() == "ring-m20-s2 failed: a sentence\n"


def test_results_are_wide_where_nobody_reads_them_on_a_terminal():
    assert progress.console().width == 160
