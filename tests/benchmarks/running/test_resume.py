"""A run that is broken off at any point continues to the results of an unbroken one."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest

from benchmarks import runner, suites
from benchmarks.reporting import read_events, read_results
from benchmarks.running import folder
from benchmarks.running.failures import DiskError, RunError
from benchmarks.running.signals import termination_as_interrupt
from benchmarks.settings import override
from clcore.errors import FormatError


def comparable(path):
    """The text of results.json with what is measured by the clock left out.

    So is the commit: somebody may commit while these tests run.
    """
    record = json.loads((path / "results.json").read_text())
    del record["environment"]["git"]
    for run in record["runs"]:
        del run["seconds"]
    return json.dumps(record)


def story(path):
    """The events without times."""
    events = read_events(path)
    for event in events:
        event.pop("time")
        event.pop("seconds", None)
        event.get("result", {}).pop("seconds", None)
        event.pop("environment", None)
    return events


class StopAt(runner.Silent):
    """Presses Ctrl-C when a cell has come so far."""

    def __init__(self, cell, share):
        self.cell, self.share = cell, share

    def progress(self, cell, share):
        if cell.name == self.cell and share >= self.share:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def module_tiny():
    return override(
        suites.find("split-digits"),
        ["scenario.sampled.samples=40", "model.hidden=16", "epochs=2", "evaluations_during=1",
         "log_points=4"],
    )  # fmt: skip


@pytest.fixture(scope="module", params=["batch", "online"])
def suite(request, module_tiny):
    methods = ("reservoir", "herding+nem") if request.param == "batch" else ("reservoir", "k-means")
    return replace(
        module_tiny, training=request.param, methods=methods, memory_sizes=(20,), seeds=(0,),
        update="iteration",
    )  # fmt: skip


@pytest.fixture(scope="module")
def unbroken(suite, tmp_path_factory):
    path = tmp_path_factory.mktemp("unbroken") / "run"
    runner.run(folder.create(path, suite))
    return path


# In the first experience (nothing saved yet), inside the third, right after the second's end.
@pytest.mark.parametrize("share", [0.05, 0.5, 0.4])
@pytest.mark.parametrize("place", [0, 1])
def test_interrupted(suite, unbroken, tmp_path, share, place):
    path = tmp_path / "run"
    run = folder.create(path, suite)
    cell = run.cells[place]
    with pytest.raises(KeyboardInterrupt):
        runner.run(run, listener=StopAt(cell.name, share))
    assert len(run.finished()) == place
    # What is finished can be looked at already.
    assert (path / "results.json").is_file() == (place > 0)
    runner.run(folder.reopen(path))
    assert comparable(path) == comparable(unbroken)
    for other in run.cells:
        mine, theirs = run.cell_folder(other), unbroken / "cells" / other.name
        assert story(mine) == story(theirs)
        for name in ("memory.safetensors", "exemplars-04.png"):
            assert (mine / name).read_bytes()[-500:] == (theirs / name).read_bytes()[-500:]


def test_interrupted_again_and_again(suite, unbroken, tmp_path):
    path = tmp_path / "run"
    run = folder.create(path, suite)
    for share in (0.2, 0.3, 0.7, 0.9):
        with pytest.raises(KeyboardInterrupt):
            runner.run(folder.reopen(path), listener=StopAt(run.cells[0].name, share))
    runner.run(folder.reopen(path))
    assert comparable(path) == comparable(unbroken)


def test_killed_between_the_result_and_the_last_event(suite, unbroken, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(unbroken, path)
    cell = path / "cells" / f"{suite.methods[0]}-m20-s0"
    events = (cell / "events.jsonl").read_bytes().splitlines(keepends=True)
    (cell / "events.jsonl").write_bytes(b"".join(events[:-1]))
    runner.run(folder.reopen(path))
    assert story(cell) == story(unbroken / "cells" / cell.name)


def test_a_finished_run_is_left_as_it_is(unbroken, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(unbroken, path)
    before = (path / "results.json").read_text()
    runner.run(folder.reopen(path))
    assert (path / "results.json").read_text() == before  # the seconds too


def test_more_seeds_later_are_the_same_as_at_once(module_tiny, tmp_path):
    wanted = replace(module_tiny, methods=("ring",), memory_sizes=(20,), seeds=(0, 1))
    runner.run(folder.create(tmp_path / "at once", wanted))
    runner.run(folder.create(tmp_path / "later", replace(wanted, seeds=(0,))))
    runner.run(folder.reopen(tmp_path / "later", seeds=(1,)))
    assert comparable(tmp_path / "later") == comparable(tmp_path / "at once")


# -- damage ---------------------------------------------------------------------------------


@pytest.fixture
def half(module_tiny, tmp_path):
    """A run with one cell that was interrupted in the fourth experience."""
    suite = replace(module_tiny, methods=("reservoir",), memory_sizes=(20,), seeds=(0,))
    run = folder.create(tmp_path / "run", suite)
    with pytest.raises(KeyboardInterrupt):
        runner.run(run, listener=StopAt("reservoir-m20-s0", 0.7))
    return run


def spoil(file, how):
    data = file.read_bytes()
    if how == "cut":
        file.write_bytes(data[: len(data) // 2])
    elif how == "foreign":
        file.write_bytes(b"something else entirely")
    else:
        file.unlink()


@pytest.mark.parametrize("how", ["cut", "foreign", "missing"])
def test_a_damaged_checkpoint_is_said_and_nothing_is_lost(half, how):
    cell = half.cell_folder(half.cells[0])
    before = (cell / "events.jsonl").read_bytes()
    spoil(cell / "checkpoint" / "after-03", how)
    with pytest.raises(RunError, match=f"after-03 .*delete {cell} to run this cell again"):
        runner.run(folder.reopen(half.path))
    assert (cell / "events.jsonl").read_bytes() == before


def test_a_checkpoint_of_another_memory_is_refused(half, module_tiny, tmp_path):
    suite = replace(module_tiny, methods=("ring",), memory_sizes=(20,), seeds=(0,))
    other = folder.create(tmp_path / "other", suite)
    with pytest.raises(KeyboardInterrupt):
        runner.run(other, listener=StopAt("ring-m20-s0", 0.7))
    source = other.cell_folder(other.cells[0]) / "checkpoint" / "after-03"
    shutil.copy(source, half.cell_folder(half.cells[0]) / "checkpoint" / "after-03")
    with pytest.raises(RunError, match=r"RingBuffer.*ReservoirBuffer"):
        runner.run(folder.reopen(half.path))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not valid JSON"),
        ("{}", "not a cell's state"),
        ('{"schema": 7}', "not a cell's state"),
        ('{"schema": 1, "done": "x"}', "is damaged"),
    ],
)
def test_a_damaged_state_is_said(half, content, words):
    (half.cell_folder(half.cells[0]) / "state.json").write_text(content)
    with pytest.raises(RunError, match=words):
        runner.run(folder.reopen(half.path))


def test_a_damaged_result_is_said(half):
    runner.run(folder.reopen(half.path))
    (half.cell_folder(half.cells[0]) / "result.json").write_text('{"method": 3}')
    with pytest.raises(FormatError, match=r"delete .* to run this cell again"):
        runner.run(folder.reopen(half.path))


def test_a_full_disk_is_one_sentence_and_the_run_goes_on_later(half, module_tiny, tmp_path):
    reference = tmp_path / "reference"
    runner.run(folder.create(reference, half.suite))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (half.cell_folder(half.cells[0]) / "events.jsonl").stat().st_size
    # The system refuses to write any file beyond this, as a full disk does.
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 300, hard))
    try:
        with pytest.raises(DiskError, match=r"cells/reservoir-m20-s0.*: File too large"):
            runner.run(folder.reopen(half.path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    runner.run(folder.reopen(half.path))
    assert comparable(half.path) == comparable(reference)


# -- real processes -------------------------------------------------------------------------

COMMAND = [
    sys.executable, "-c", "from benchmarks.cli import main; main()", "run", "split-digits",
    "--methods", "reservoir,herding", "--seeds", "0", "--memory", "20", "--wandb", "disabled",
    "--set", "epochs=6", "--set", "model.hidden=16",
]  # fmt: skip


def wait_for(condition, process, seconds=240):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the run ended before it could be interrupted"
        assert time.monotonic() < deadline, "the run got nowhere"
        time.sleep(0.01)


def begun(path, experiences):
    """Whether both cells have finished that many experiences."""
    names = [path / "cells" / f"{m}-m20-s0" / "state.json" for m in ("reservoir", "herding")]
    return all(n.is_file() and json.loads(n.read_text())["done"] >= experiences for n in names)


@pytest.fixture(scope="module")
def processes_unbroken(tmp_path_factory):
    suite = override(suites.find("split-digits"), ["epochs=6", "model.hidden=16"])
    suite = replace(suite, methods=("reservoir", "herding"), seeds=(0,), memory_sizes=(20,))
    path = tmp_path_factory.mktemp("processes") / "run"
    runner.run(folder.create(path, suite))
    return path


def test_killed_with_its_workers_and_resumed(processes_unbroken, tmp_path):
    path = tmp_path / "run"
    process = subprocess.Popen([*COMMAND, "--out", path, "--workers", "2"])
    try:
        wait_for(lambda: begun(path, 1), process)
        workers = psutil.Process(process.pid).children(recursive=True)
        # A terminal's Ctrl-C reaches the workers too: what happens then is the parent's to say.
        for worker in workers:
            worker.send_signal(signal.SIGINT)
        wait_for(lambda: begun(path, 2), process)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    # Orphaned workers notice that nobody listens any more.
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
    assert not (path / "report.html").exists()
    results = runner.run(folder.reopen(path))
    assert len(results.runs) == 2
    assert comparable(path) == comparable(processes_unbroken)
    assert read_results(path) == results


def test_ctrl_c_saves_and_says_how_to_go_on(processes_unbroken, tmp_path):
    path = tmp_path / "run"
    process = subprocess.Popen(
        [*COMMAND, "--out", path], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    first = path / "cells" / "reservoir-m20-s0" / "state.json"
    try:
        wait_for(first.is_file, process)
        # As a terminal does it: the whole group is told.
        os.killpg(process.pid, signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == 130
    assert "0 of 2 cells are finished" in said
    assert f"clcore run split-digits --out {path} --resume" in said
    assert "Traceback" not in said
    runner.run(folder.reopen(path))
    assert comparable(path) == comparable(processes_unbroken)


def test_a_request_to_end_is_as_ctrl_c():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), termination_as_interrupt():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before
