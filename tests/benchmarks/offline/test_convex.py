"""Cells whose learner is a convex problem: names, data, curves, selections, speed-ups."""

import gc
from dataclasses import replace

import pytest
import torch

from benchmarks import runner, suites
from benchmarks.datasets import REGISTRY, TableData
from benchmarks.offline import convex, convex_data
from benchmarks.offline.convex import LEAST_RESIDUAL, make_schedule, prepared
from benchmarks.offline.convex_data import build_convex_data, divided
from benchmarks.offline.convex_method import find_convex
from benchmarks.offline.plan import cells_of
from benchmarks.reporting import read_any_results, read_events
from benchmarks.running import folder
from clcore.errors import ArgumentError, UnknownNameError
from strategies.offline.convex import Constant, Exponential, KInverse


@pytest.fixture(scope="module")
def make_convex(make_suite):
    def make(**changes):
        return make_suite(
            **{
                "name": "tiny-convex",
                "learner": "convex",
                "validation_rows": 0,
                "batch_size": 1,
                "every": None,
                "epochs": 6,
                "learning_rate": {"sgd": 0.02, "svrg": 0.02, "saga": 0.02, "sgd+subset": 0.01},
                "schedule": "power",
                "rate_decay": 0.8,
                "l2": 1e-2,
                "methods": ("full", "random", "kd-tree", "leverage+anchored"),
                "optimizers": ("sgd", "svrg"),
                "options": {"kd-tree": {"gradients": "features"}},
                **changes,
            }
        )

    return make


@pytest.fixture(scope="module")
def finished_convex(tmp_path_factory, make_convex):
    path = tmp_path_factory.mktemp("convex") / "run"
    found = folder.create(path, make_convex())
    runner.run(found)
    return path


def table(n=300):
    generator = torch.Generator().manual_seed(0)
    x = torch.cat(
        [
            5 + 3 * torch.randn(n, 10, generator=generator),
            torch.randint(0, 2, (n, 44), generator=generator).float(),
        ],
        1,
    )
    y = torch.arange(n) % 7
    data_set = REGISTRY.create("covtype")
    cut = n * 4 // 5
    mean, std = torch.zeros(54).double(), torch.ones(54).double()
    mean[:10], std[:10] = 5.0, 3.0
    return TableData(
        "covtype", x[:cut], y[:cut], x[cut:], y[cut:], data_set.classes, data_set.columns, mean, std
    )


def test_names_of_methods(make_convex):
    suite = make_convex()
    full, plain = find_convex("full", suite), find_convex("KD_tree", suite)
    assert (full.full, full.way, full.label) == (True, "full", "full")
    assert (plain.label, plain.selector, plain.way) == ("kd-tree", "kd-tree", "subset")
    assert find_convex("random-fixed", suite).selector == "random"
    anchored = find_convex("leverage+anchored", suite)
    assert (anchored.anchored, anchored.whitened, anchored.way) == (True, False, "anchored")
    white = find_convex("craig+whitened+unweighted+rate2", suite)
    assert (white.anchored, white.whitened, white.weighted, white.rate) == (True, True, False, 2.0)
    whole = find_convex("full+whitened", suite)
    assert (whole.full, whole.anchored, whole.whitened) == (True, False, True)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("craigg", UnknownNameError, "did you mean craig"),
        ("full+anchored", ArgumentError, "'full' has no option \\+anchored; allowed are \\+white"),
        ("craig+every5", ArgumentError, "'craig' has no option \\+every5; allowed are \\+anchored"),
        ("craig+rate0", ArgumentError, "has no option \\+rate0"),
    ],
)
def test_wrong_names_are_refused(make_convex, name, error, message):
    with pytest.raises(error, match=message):
        find_convex(name, make_convex())


def test_coresets_are_chosen_once(make_convex):
    with pytest.raises(ArgumentError, match="chosen once, before training: set every to None"):
        cells_of(make_convex(every=2))


def test_step_sizes_by_way_of_training(make_convex):
    suite = make_convex()
    assert make_schedule(suite, "sgd", find_convex("full", suite)) == Exponential(0.02, 0.8)
    assert make_schedule(suite, "sgd", find_convex("kd-tree", suite)) == Exponential(0.01, 0.8)
    assert make_schedule(suite, "saga", find_convex("craig+rate2", suite)) == Constant(0.04)
    other = make_convex(
        schedule="decay", learning_rate={"sgd": 0.1, "decay+whitened": 0.5}, optimizers=("sgd",)
    )
    assert make_schedule(other, "sgd", find_convex("full+whitened", other)) == KInverse(0.1, 0.5)
    plain = make_convex(schedule="constant", learning_rate=0.3)
    assert make_schedule(plain, "sgd", find_convex("full", plain)) == Constant(0.3)


def test_every_cell_has_its_curves(finished_convex, make_convex):
    results = read_any_results(finished_convex)
    assert len(results.runs) == len(cells_of(make_convex())) == 8
    for run in results.runs:
        curves = run.curves
        assert curves.epochs == [0, 1, 2, 3, 4, 5, 6]
        assert curves.loss_residual is not None
        assert min(curves.loss_residual) >= LEAST_RESIDUAL
        spread = [a - b for a, b in zip(curves.loss, curves.loss_residual, strict=True)]
        assert max(spread) - min(spread) < 1e-12
        assert curves.seconds == sorted(curves.seconds)
        assert curves.cpu_seconds == sorted(curves.cpu_seconds)
        assert curves.loss[-1] < curves.loss[0]
        assert run.final_accuracy == pytest.approx(1 - curves.test_error[-1])
        assert run.rows == 200
        if run.method == "full":
            assert run.selections == []
            assert run.speedup == pytest.approx(1.0)
        else:
            (selection,) = run.selections
            assert selection.rows == 40
            assert curves.seconds[0] == 0
            assert curves.selection_seconds[1] == selection.seconds
            assert selection.gradient_error > 0
            assert sum(run.class_counts.values()) == 40


def test_anchored_coresets_end_nearer_to_the_optimum(finished_convex):
    runs = read_any_results(finished_convex).runs
    last = {(run.method, run.optimizer): run.curves.loss_residual[-1] for run in runs}
    assert last["leverage+anchored", "svrg"] < last["random", "svrg"]


def test_events_and_coresets_are_written(finished_convex):
    cell = finished_convex / "checkpoints" / "kd-tree-f0.2-svrg-s0"
    cell = cell if cell.is_dir() else next(finished_convex.rglob("kd-tree-f0.2-svrg-s0"))
    events = [event["event"] for event in read_events(cell / "events.jsonl")]
    assert events == ["start", "point", "coreset", *["point"] * 6, "end"]
    assert (cell / "coreset.safetensors").is_file()


def test_running_again_gives_the_same_numbers(tmp_path, make_convex, finished_convex):
    suite = make_convex(methods=("leverage+anchored",), optimizers=("svrg",))
    runner.run(folder.create(tmp_path / "again", suite))
    again = read_any_results(tmp_path / "again").runs
    before = {
        run.method: run.curves.loss
        for run in read_any_results(finished_convex).runs
        if run.optimizer == "svrg"
    }
    for run in again:
        assert run.curves.loss == before[run.method]


def test_ridge_and_unweighted(tmp_path, make_convex):
    suite = make_convex(
        problem="ridge",
        methods=("kd-tree+unweighted",),
        optimizers=("saga",),
        options={"kd-tree": {"gradients": "features", "per_label": False}},
        learning_rate=0.002,
    )
    runner.run(folder.create(tmp_path / "ridge", suite))
    for run in read_any_results(tmp_path / "ridge").runs:
        assert run.curves.loss[-1] < run.curves.loss[0]
        assert 0 <= run.final_accuracy <= 1


def test_a_table_is_divided_by_the_seed_and_one_class_stands_against_the_rest(
    make_convex, monkeypatch
):
    monkeypatch.setattr(convex_data, "load_table", lambda name: table())
    suite = make_convex(dataset="covtype", train_rows=None)
    data, other = build_convex_data(suite, 0), build_convex_data(suite, 1)
    assert data.x.shape == (240, 54)
    assert data.test_x.shape == (60, 54)
    assert data.classes == ("others", "Lodgepole Pine")
    assert int(data.y.sum() + data.test_y.sum()) == 43  # of 300 rows, those with label 1 of 7
    torch.testing.assert_close(data.x[:, :10].mean(0), torch.zeros(10), atol=1e-5, rtol=0)
    torch.testing.assert_close(data.x[:, :10].std(0, correction=0), torch.ones(10))
    assert set(data.x[:, 10:].unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(data.y, other.y)
    assert torch.equal(data.x, build_convex_data(suite, 0).x)
    fewer = divided(table(), replace(suite, train_rows=100), 0)
    assert torch.equal(fewer.test_x[:, 10:], data.test_x[:, 10:])
    assert len(fewer.x) == 100
    with pytest.raises(ArgumentError, match="250 rows are wanted, and covtype has 240"):
        divided(table(), replace(suite, train_rows=250), 0)
    with pytest.raises(ArgumentError, match="label_noise: is for images, and covtype is a table"):
        build_convex_data(replace(suite, label_noise=0.1), 0)


def test_the_suite_of_covertype_has_a_rate_for_every_way_of_training():
    suite = suites.find("covtype-craig")
    ways = {find_convex(name, suite).way for name in suite.methods}
    assert ways == {"full", "subset", "anchored", "whitened"}
    for optimizer in suite.optimizers:
        for name in suite.methods:
            assert make_schedule(suite, optimizer, find_convex(name, suite))(0) > 0


def test_the_optimum_is_found_once_a_seed(make_convex):
    suite = make_convex()
    assert prepared(suite, 0)[1] is prepared(suite, 0)[1]
    assert prepared(suite, 0)[1] is not prepared(suite, 1)[1]


def test_coresets_are_remembered_for_the_problem_and_no_longer(make_convex, tmp_path):
    suite = make_convex(methods=("leverage",))
    runner.run(folder.create(tmp_path / "run", suite))
    problem = prepared(suite, 0)[1]
    # Both optimisers of the suite, and one choice.
    assert len(suite.optimizers) == 2
    assert len(convex._CHOSEN[problem]) == 1
    kept = len(convex._CHOSEN)
    del problem
    prepared(suite, 1)  # the next seed takes the place of the first
    gc.collect()
    assert len(convex._CHOSEN) == kept - 1
