"""Every method runs in every continual suite, or is refused before anything is run.

Each suite is run as it is but for its sizes: a handful of images of the data set's shape and
classes, small networks, one seed, one memory. Its scenario, its network's kind and its training
are its own. Those suites that differ most are quick; the others are run by `make test-slow`.
"""

import gc
import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import pytest
import torch

import benchmarks.running.cell  # noqa: F401 - brings Avalanche, before the clock of a test runs
from benchmarks import datasets, methods, runner, suites
from benchmarks.datasets import Arrays, ImageData
from benchmarks.reporting import read_events
from benchmarks.running import folder
from clcore.errors import ArgumentError

SUITES = [name for name in suites.names() if suites.find(name).kind == "continual"]

QUICK = {
    "borsos-imbalanced-stream",  # chunks, convolutions, the whole memory in each step
    "rm-blurry-mnist",  # blurred borders, BatchNorm, epochs on the memory alone
    "split-mnist-online",  # mini-batches that come once, without Avalanche
}

METHODS = (
    *methods.REGISTRY.names(),
    # Of the selectors without a file of their own: one by gradients, one by features.
    "craig",
    "max-herding",
    # Classified by the exemplars: chosen again at each end, and filled by the stream.
    "herding+nem",
    "reservoir+nem",
)

REFUSED = {
    # No end of an experience at which a memory could be chosen again.
    "split-mnist-online": {
        **dict.fromkeys(
            (
                "auto", "bcsr", "craig", "csrel", "gcr", "gcr-memory", "gdumb", "greedy-coreset",
                "greedy-coreset-stream", "herding", "herding+nem", "herding-by-task", "k-center",
                "k-means-plus-plus", "max-herding", "pbcs", "rainbow", "random", "random-by-task",
            ),
            "chooses its memory again at the end of each experience, but split-mnist-online is an "
            "online stream without such ends; use a streaming memory such as 'reservoir', or "
            "--set training=batch",
        ),
        "ocs": "has a training step of its own, which there is for batch training only, but "
        "split-mnist-online is an online stream; use a method that only keeps a memory, such as "
        "'ocs-memory', or --set training=batch",
    },
    # The whole memory is in each step, so there is nothing to pick from it.
    **{
        name: dict.fromkeys(
            ("aser", "mir"),
            f"picks the exemplars of each step, but {name} takes the whole memory in each "
            "(replay=whole-memory), so there is nothing to pick; use a method that only keeps a "
            "memory, such as 'reservoir' or 'aser-update', or --set replay=joint",
        )
        for name in ("borsos-imbalanced-stream", "borsos-permuted-mnist", "borsos-split-mnist")
    },
}  # fmt: skip

MEMORY = 13
"""More than the 10 classes; neither full after the first experience nor a multiple of a batch."""

SIZES = {
    "sampled": {"samples": 9},  # two mini-batches of 4, and a last one of a single row
    "permuted": {"experiences": 3},
    "rotated": {"experiences": 3},
    "imbalanced": {"largest": 14, "ratio": 0.5},
    "chunked": {"size": 6},  # no divisor of 14 or 7, so chunks reach over the borders
}

HIDDEN = {"conv": (3, 4, 8), "resnet18": (2,)}
"""Widths; the layers of an MLP keep their number."""


@cache
def synthetic(name: str) -> ImageData:
    """30 training and 2 test images a class, each class around an image of its own."""
    data_set = datasets.REGISTRY.create(name)
    generator = torch.Generator().manual_seed(0)
    count = len(data_set.classes)
    centres = torch.randint(0, 200, (count, *data_set.shape), generator=generator)
    parts = []
    for each in (30, 2):
        y = torch.arange(count).repeat(each)
        noise = torch.randint(0, 56, (len(y), *data_set.shape), generator=generator)
        parts += [(centres[y] + noise).to(torch.uint8), y]
    return ImageData.of(name, Arrays(*parts), data_set.classes)


@pytest.fixture(autouse=True)
def _no_data_set_is_needed(monkeypatch):
    monkeypatch.setattr("benchmarks.running.data.load_data", synthetic)


@pytest.fixture
def _what_was_there_before_is_not_collected():
    # The runner collects garbage after each cell; going through all that has been imported would
    # take longer than the cell.
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def small(name, wanted, **changes):
    """A suite with other sizes and methods."""
    suite = suites.find(name)
    scenario = {
        step: {**options, **SIZES.get(step, {})} for step, options in suite.scenario.items()
    }
    if not {"sampled", "imbalanced"} & set(scenario):
        scenario["sampled"] = SIZES["sampled"]
    layers = HIDDEN.get(suite.model.name, (16,) * len(suite.model.hidden))
    rates = suite.learning_rate
    if isinstance(rates, Mapping):
        rates = {0: rates[0], MEMORY: rates[min(suite.memory_sizes)]}
    return replace(
        suite,
        scenario=scenario,
        model=replace(suite.model, hidden=layers),
        epochs=min(suite.epochs, 2),
        memory_epochs=min(suite.memory_epochs, 2),
        batch_size=4,
        replay_batch_size=4,
        selection_batch_size=suite.selection_batch_size and 8,
        selection_epochs=suite.selection_epochs and 2,
        learning_rate=rates,
        evaluations_during=min(suite.evaluations_during, 1),
        log_points=3,
        methods=tuple(wanted),
        memory_sizes=(MEMORY,),
        seeds=(0,),
        **changes,
    )


def run_all(suite, path):
    """Run a suite, and hold each cell to what every method promises."""
    made = folder.create(path, suite)
    runs = runner.run(made).runs
    assert {run.method for run in runs} == set(suite.methods)
    for cell, run in zip(made.cells, runs, strict=True):
        method = methods.find(run.method)
        rows = run.accuracy_matrix
        experiences = len(rows[0])
        assert experiences == (3 if {"permuted", "rotated"} & set(suite.scenario) else 5)
        assert len(rows) == (1 if method.joint else experiences), run.method
        rates = [rate for row in rows for rate in row]
        assert all(math.isfinite(rate) and 0 <= rate <= 1 for rate in rates), run.method
        held = sum(run.memory_class_counts.values())
        if method.has_memory:
            assert 0 < held <= run.memory_size == MEMORY, run.method
            assert run.memory_bytes > 0, run.method
        else:
            assert held == run.memory_size == run.memory_bytes == 0, run.method
        losses = [
            event["loss"]
            for event in read_events(made.cell_folder(cell))
            if event["event"] == "train"
        ]
        assert losses, run.method
        assert all(map(math.isfinite, losses)), run.method


def by_speed(names):
    """Parameters, those that are not quick marked as slow."""
    return [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in names]


@pytest.mark.usefixtures("_what_was_there_before_is_not_collected")
@pytest.mark.parametrize("name", by_speed(SUITES))
def test_every_method_runs(name, tmp_path):
    refused = REFUSED.get(name, {})
    run_all(small(name, [m for m in METHODS if m not in refused]), tmp_path / "run")


@pytest.mark.parametrize(
    ("name", "method"), [(name, method) for name, those in REFUSED.items() for method in those]
)
def test_what_makes_no_sense_is_refused_at_the_door(name, method, tmp_path):
    suite = small(name, ["reservoir", method])
    with pytest.raises(ArgumentError) as refusal:
        folder.create(tmp_path / "run", suite)
    assert str(refusal.value) == f"methods: {method!r} {REFUSED[name][method]}"
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("_what_was_there_before_is_not_collected")
@pytest.mark.parametrize("name", REFUSED)
def test_the_setting_that_a_refusal_names_lets_it_run(name, tmp_path):
    way_out = {"training": "batch"} if name == "split-mnist-online" else {"replay": "joint"}
    run_all(small(name, REFUSED[name], **way_out), tmp_path / "run")
