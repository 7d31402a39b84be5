"""The dashboard in a user's own Avalanche script: as a plugin, as a logger, online."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import wandb
from avalanche.benchmarks import tensors_benchmark
from avalanche.benchmarks.scenarios.online import split_online_stream
from avalanche.evaluation.metrics import accuracy_metrics, confusion_matrix_metrics
from avalanche.logging import BaseLogger
from avalanche.models import SimpleMLP
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.supervised import Naive

from benchmarks.reporting import avalanche_watch, wandb_dashboard
from benchmarks.reporting.images import exemplar_grid, read_picture
from benchmarks.reporting.wandb_dashboard import WandBDashboard
from benchmarks.reporting.wandb_run import quiet_settings
from buffers import ReservoirBuffer
from clcore.errors import ArgumentError
from strategies import Replay


class Recorder:
    """Stands in for the wandb sink and keeps what it is given."""

    made: Recorder

    def __init__(self, cell_dir, **options):
        self.events, self.logged, self.options, self.exit_code = [], [], options, -1
        self.axes = {}
        self.run = SimpleNamespace(
            define_metric=lambda name, step_metric: self.axes.update({name: step_metric})
        )
        type(self).made = self

    def handle(self, event):
        self.events.append(dict(event))

    def log(self, payload):
        self.logged.append(dict(payload))

    def close(self, exit_code=0):
        self.exit_code = exit_code

    def of(self, name, **values):
        return [
            event for event in self.events
            if event["event"] == name and all(event[k] == v for k, v in values.items())
        ]  # fmt: skip


@pytest.fixture
def recorder(monkeypatch):
    monkeypatch.setattr(wandb_dashboard, "WandBSink", Recorder)
    return Recorder


@pytest.fixture
def benchmark():
    """Three experiences of two easy classes each, 8 × 8 pixels."""
    generator = torch.Generator().manual_seed(0)

    def experience(first: int):
        y = torch.arange(40) % 2 + first
        x = 0.1 * torch.rand(40, 1, 8, 8, generator=generator)
        x[torch.arange(40), 0, y, :] += 1.0
        return x, y

    tensors = [experience(first) for first in (0, 2, 4)]
    return tensors_benchmark(train_tensors=tensors, test_tensors=tensors, task_labels=[0, 0, 0])


def make_strategy(plugins, loggers, metrics=None, **options) -> Naive:
    torch.manual_seed(0)
    model = SimpleMLP(num_classes=6, input_size=64, hidden_size=32, drop_rate=0.0)
    return Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), 0.1),
        criterion=torch.nn.CrossEntropyLoss(),
        train_mb_size=8,
        train_epochs=2,
        eval_mb_size=40,
        plugins=plugins,
        evaluator=EvaluationPlugin(
            *(metrics or [accuracy_metrics(experience=True)]), loggers=loggers or [BaseLogger()]
        ),
        **options,
    )


def true_accuracies(strategy, benchmark) -> list[float]:
    strategy.model.eval()
    rates = []
    for experience in benchmark.test_stream:
        rows = [experience.dataset[i] for i in range(len(experience.dataset))]
        x, y = torch.stack([row[0] for row in rows]), torch.tensor([row[1] for row in rows])
        with torch.no_grad():
            rates.append(float((strategy.model(x).argmax(1) == y).float().mean()))
    return rates


def test_as_a_plugin_it_measures_by_itself_and_finds_the_buffer(recorder, benchmark):
    dashboard = WandBDashboard(mode="disabled", log_every=5, seed=3, group="tiny")
    buffer = ReservoirBuffer(20)
    # Before the replay plugin in the list: the memory is still read after it was updated.
    strategy = make_strategy([dashboard, Replay(buffer, 8)], loggers=[])
    truth = []
    for experience in benchmark.train_stream:
        strategy.train(experience)
        strategy.eval(benchmark.test_stream)
        truth.append(true_accuracies(strategy, benchmark))
    dashboard.close()
    sink = recorder.made

    (start,) = sink.of("start")
    assert (start["suite"], start["method"], start["seed"]) == ("tiny", "Naive", 3)
    assert start["memory_size"] == 20
    assert start["settings"]["optimizer"]["lr"] == 0.1
    assert start["settings"]["buffer"] == {"name": "ReservoirBuffer", "max_size": 20}

    assert [e["iteration"] for e in sink.of("train")] == [5, 10, 15, 20, 25, 30]
    assert sink.of("train")[0]["replay_loss"] is None
    assert sink.of("train")[-1]["replay_loss"] > 0

    ends = sink.of("evaluation", phase="end")
    assert [e["accuracies"] for e in ends] == [pytest.approx(row) for row in truth]
    assert [e["average_accuracy"] for e in ends] == [
        pytest.approx(np.mean(row[: i + 1])) for i, row in enumerate(truth)
    ]
    forgotten = [max(truth[0][0], truth[1][0]) - truth[2][0], truth[1][1] - truth[2][1]]
    assert ends[-1]["average_forgetting"] == pytest.approx(np.mean(forgotten))

    memories = sink.of("memory")
    assert [m["experience"] for m in memories] == [0, 1, 2]
    assert [set(m["class_counts"]) for m in memories] == [set("01"), set("0123"), set("012345")]
    assert memories[0]["turnover"] == 1.0
    assert 0 < memories[2]["turnover"] < 1
    assert memories[2]["exemplars"] == "exemplars-02.png"
    assert len(sink.of("selection")) == 3
    (end,) = sink.of("end")
    assert end["artifacts"] == {"memory": "memory.safetensors"}
    assert end["result"]["final_accuracy"] == pytest.approx(np.mean(truth[-1]))
    assert sink.exit_code == 0


def test_as_a_logger_it_takes_avalanches_metric_and_passes_the_others_on(recorder, benchmark):
    dashboard = WandBDashboard(mode="disabled", log_every=5)
    strategy = make_strategy(
        [Replay(ReservoirBuffer(20), 8)],
        [dashboard],
        [
            accuracy_metrics(minibatch=True, experience=True, stream=True),
            confusion_matrix_metrics(num_classes=6, save_image=True, stream=True),
        ],
    )
    for experience in benchmark.train_stream:
        strategy.train(experience)
        strategy.eval(benchmark.test_stream)
    dashboard.close()
    sink = recorder.made
    reported = strategy.evaluator.get_last_metrics()
    name = "Top1_Acc_Exp/eval_phase/test_stream/Task000/Exp00"
    last = sink.of("evaluation", phase="end")[-1]
    assert last["accuracies"] == [pytest.approx(reported[f"{name}{i}"]) for i in range(3)]
    keys = {key for payload in sink.logged for key in payload}
    assert "avalanche/Top1_Acc_Stream/eval_phase/test_stream/Task000" in keys
    assert "avalanche/Top1_Acc_MB/train_phase/train_stream/Task000" in keys
    (matrix,) = [key for key in keys if "ConfusionMatrix" in key]
    assert isinstance(sink.logged[-1][matrix], wandb.Image)
    assert len(sink.of("memory")) == 3


def test_avalanches_number_wins_over_our_own(recorder, benchmark):
    dashboard = WandBDashboard(mode="disabled")
    strategy = make_strategy([], [dashboard])
    strategy.train(benchmark.train_stream[0])
    dashboard.before_eval(strategy, [])
    dashboard._counted = {("test", 0): [1, 4]}
    dashboard.log_single_metric("Top1_Acc_Exp/eval_phase/test_stream/Task000/Exp000", 0.5, 1)
    dashboard.after_eval(strategy, [])
    assert recorder.made.of("evaluation")[-1]["accuracies"] == [0.5]
    dashboard.close()


def test_as_both_nothing_is_counted_twice_and_eval_every_suffices(recorder, benchmark):
    dashboard = WandBDashboard(mode="disabled", log_every=1)
    strategy = make_strategy([dashboard, Replay(ReservoirBuffer(20), 8)], [dashboard], eval_every=1)
    for experience in benchmark.train_stream:
        strategy.train(experience, eval_streams=[benchmark.test_stream])
    truth = true_accuracies(strategy, benchmark)
    dashboard.close()
    sink = recorder.made
    assert [e["iteration"] for e in sink.of("train")] == list(range(1, 31))
    during = {e["iteration"] for e in sink.of("evaluation", phase="during")}
    assert {5, 10, 15, 20} <= during
    ends = {e["experience"]: e for e in sink.of("evaluation", phase="end")}
    assert set(ends) == {0, 1, 2}
    assert ends[2]["accuracies"] == pytest.approx(truth)
    assert [m["experience"] for m in sink.of("memory")] == [0, 1, 2]


def test_a_stream_trained_in_one_call_still_has_a_memory_for_each_experience(recorder, benchmark):
    dashboard = WandBDashboard(mode="disabled")
    strategy = make_strategy([dashboard, Replay(ReservoirBuffer(20), 8)], [])
    strategy.train(benchmark.train_stream)
    dashboard.close()
    counts = [set(m["class_counts"]) for m in recorder.made.of("memory")]
    assert counts == [set("01"), set("0123"), set("012345")]


def test_pieces_of_an_online_stream_count_as_their_experience(recorder, benchmark):
    dashboard = WandBDashboard(mode="disabled", log_every=4)
    buffer = ReservoirBuffer(20)
    strategy = make_strategy([dashboard, Replay(buffer, 8)], [])
    for origin in benchmark.train_stream:
        for piece in split_online_stream([origin], experience_size=10):
            strategy.train(piece)
        strategy.eval(benchmark.test_stream[: origin.current_experience + 1])
    dashboard.close()
    sink = recorder.made
    assert [m["experience"] for m in sink.of("memory")] == [0, 1, 2]
    ends = sink.of("evaluation", phase="end")
    assert [e["experience"] for e in ends] == [0, 1, 2]
    # Only what was seen is evaluated; the other columns are known, and blank.
    assert ends[0]["accuracies"][1:] == [None, None]
    assert len(sink.of("train")) == 3 * 4 * 4 // 4


def test_other_streams_get_keys_of_their_own(recorder, benchmark):
    dashboard = WandBDashboard(mode="disabled")
    strategy = make_strategy([dashboard], [])
    strategy.train(benchmark.train_stream[0])
    strategy.eval(benchmark.train_stream)
    dashboard.close()
    sink = recorder.made
    assert sink.of("evaluation") == []
    assert sink.axes == {"accuracy_train/*": "iteration"}
    (logged,) = sink.logged
    assert set(logged) == {"iteration", *(f"accuracy_train/exp_0{i}" for i in range(3))}


def test_an_error_in_a_with_block_marks_the_run_as_failed(recorder, benchmark):
    dashboard = WandBDashboard(mode="disabled")

    def script():
        with dashboard:
            make_strategy([dashboard], []).train(benchmark.train_stream[0])
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        script()
    assert recorder.made.exit_code == 1
    assert recorder.made.of("end")[0]["exit_code"] == 1
    dashboard.close()  # once is enough
    assert len(recorder.made.of("end")) == 1


def test_without_a_buffer_it_says_so_and_goes_on(recorder, benchmark, caplog):
    with caplog.at_level(logging.INFO), WandBDashboard(mode="disabled") as dashboard:
        make_strategy([dashboard], []).train(benchmark.train_stream[0])
    assert "no clcore buffer found" in caplog.text
    assert recorder.made.of("memory") == []


def test_bad_arguments_are_refused_at_the_door(tmp_path):
    with pytest.raises(ArgumentError, match="log_every: 0"):
        WandBDashboard(log_every=0, mode="disabled")
    with pytest.raises(ArgumentError, match="list is no clcore buffer"):
        WandBDashboard(buffer=[], mode="disabled")
    with pytest.raises(ArgumentError, match="'sometimes' is unknown"):
        WandBDashboard(mode="sometimes")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("Top1_Acc_Exp/eval_phase/test_stream/Task000/Exp003", ("test", 3)),
        ("Top1_Acc_Exp/eval_phase/test_stream/Exp012", ("test", 12)),
        ("Top1_Acc_Exp/eval_phase/my_own_stream/Task001/Exp000", ("my_own", 0)),
        ("Top1_Acc_Stream/eval_phase/test_stream/Task000", None),
        ("Loss_Exp/eval_phase/test_stream/Task000/Exp003", None),
    ],
)
def test_avalanches_names_are_read(name, place):
    assert avalanche_watch.top1_of(name) == place


def test_the_whole_way_into_wandb_and_back(benchmark, tmp_path, inspect_run):
    buffer = ReservoirBuffer(20)
    with WandBDashboard(
        run_name="mine", mode="offline", log_every=5, wandb_dir=tmp_path, settings=quiet_settings()
    ) as dashboard:
        strategy = make_strategy([Replay(buffer, 8)], [dashboard])
        for experience in benchmark.train_stream:
            strategy.train(experience)
            strategy.eval(benchmark.test_stream)
        truth = true_accuracies(strategy, benchmark)
        dashboard.run.log({"mine": 1})
        fed = dashboard.sink.fed
    run = inspect_run(fed.folder)
    (header,) = run.of("run")
    assert header["display_name"] == "mine"
    assert [run.series("experience", f"accuracy/exp_0{i}")[2] for i in range(3)] == [
        pytest.approx(rate) for rate in truth
    ]
    path = run.series("experience", "memory/exemplars.path")[2]
    everything = buffer.all(transform=None)
    assert np.array_equal(read_picture(run.file(path)), exemplar_grid(everything.x, everything.y))
    assert {"memory", "result"} <= set(run.artifacts)
    loaded = ReservoirBuffer(20).load(run.artifacts["memory"]["memory.safetensors"])
    assert torch.equal(loaded.all(transform=None).x, everything.x)
    (matrix,) = [row for row in run.history if "accuracy/matrix_table.path" in row]
    table = json.loads(run.file(matrix["accuracy/matrix_table.path"]).read_text())
    assert len(table["data"]) == 9
    assert run.of("exit")[0]["exit_code"] == 0
