import json
import multiprocessing
import os
import signal

import pytest

from benchmarks import runner
from benchmarks.running import folder, workers
from benchmarks.running.execute import WandB
from benchmarks.running.failures import RunError
from benchmarks.running.plan import Cell
from benchmarks.running.task import CellTask


class Watcher(runner.Silent):
    """Remembers the order of things."""

    def __init__(self):
        self.told = []

    def started(self, cell):
        self.told.append(("started", cell.name))

    def done(self, cell, run):
        self.told.append(("done", cell.name))


def comparable(path):
    record = json.loads((path / "results.json").read_text())
    del record["environment"]["git"]
    for run in record["runs"]:
        del run["seconds"]
    return record


def test_parallel_is_the_same_as_one_after_the_other(tiny, tmp_path):
    alone, together = tmp_path / "alone", tmp_path / "together"
    runner.run(folder.create(alone, tiny))
    run = folder.create(together, tiny)
    (run.cell_folder(run.cells[3])).mkdir()
    (run.cell_folder(run.cells[3]) / "state.json").write_text("{")
    watcher = Watcher()
    # What stops one cell comes back as a sentence, and the others go on.
    with pytest.raises(RunError, match=r"herding\+nem-m20-s1 failed: .*state.json is damaged"):
        runner.run(run, workers=2, wandb=WandB("offline"), listener=watcher)
    assert watcher.told[:2] == [
        ("started", "reservoir-m20-s0"), ("started", "herding+nem-m20-s0"),
    ]  # fmt: skip
    assert len(watcher.told) == 7
    finished = comparable(together)
    assert finished["runs"] == comparable(alone)["runs"][:3]
    assert finished["settings"] == comparable(alone)["settings"]
    assert all((run.cell_folder(cell) / "wandb.json").is_file() for cell in run.finished())
    assert len(list((together / "wandb").glob("offline-run-*"))) == 3


@pytest.mark.parametrize(
    ("end", "number", "words"),
    [
        (signal.raise_signal, 9, r"was ended by SIGKILL \(often: out of memory; try fewer workers"),
        (signal.raise_signal, 15, "was ended by SIGTERM$"),
        (os._exit, 3, r"failed with exit code 3 \(see its output above\)"),
    ],
)
def test_a_worker_that_dies_is_said(tiny, tmp_path, end, number, words):
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=end, args=(number,), daemon=True)
    process.start()
    theirs.close()
    task = CellTask(tiny, Cell("ring", 20, 0), tmp_path, {}, {})
    worker = workers._Worker(process, ours, task)
    with pytest.raises(RunError, match=f"the worker process that ran ring-m20-s0 {words}"):
        workers._receive(worker, [], print, print, print, print)
    workers._end(worker)
    assert not process.is_alive()
