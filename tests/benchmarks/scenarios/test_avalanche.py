"""Scenarios as Avalanche benchmarks: rows, streams, and real training with unmodified Avalanche."""

import io
import pickle

import pytest
import torch
from avalanche.benchmarks import CLScenario
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.logging import TextLogger
from avalanche.models import IncrementalClassifier, MTSimpleMLP, SimpleMLP
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.supervised import Naive

from benchmarks.scenarios import noisy, online, permuted, rotated, split


def strategy(model):
    return Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.01),
        train_mb_size=16,
        eval_mb_size=32,
        evaluator=EvaluationPlugin(
            accuracy_metrics(experience=True), loggers=[TextLogger(file=io.StringIO())]
        ),
    )


@pytest.mark.parametrize("task_labels", [False, True])
@pytest.mark.parametrize("make", [split, lambda data: permuted(data, 2)])
def test_rows_are_those_of_the_scenario(data, make, task_labels):
    scenario = make(data)
    benchmark = scenario.to_avalanche(task_labels)
    assert isinstance(benchmark, CLScenario)
    for name, pick in (("train", lambda e: e.train), ("test", lambda e: e.test)):
        stream = benchmark.streams[name]
        assert len(stream) == len(scenario)
        for ours, theirs in zip(scenario, stream, strict=True):
            rows = pick(ours)
            expected = scenario.normalise(rows.x)
            assert len(theirs.dataset) == len(rows)
            assert list(theirs.dataset.targets) == rows.y.tolist()
            for position in (0, 5, len(rows) - 1):
                x, y, *task = theirs.dataset[position]
                assert torch.equal(x, expected[position])
                assert y == int(rows.y[position])
                assert task == ([ours.task] if task_labels else [])
            assert theirs.current_experience == ours.index
            assert theirs.classes_in_this_experience == list(ours.classes_here)
            assert theirs.benchmark is benchmark
            if task_labels:
                assert theirs.task_label == ours.task
                assert list(theirs.dataset.targets_task_labels) == [ours.task] * len(rows)
                assert ours.task in theirs.dataset.task_set
    assert benchmark.n_classes == 4
    assert benchmark.n_experiences == len(scenario)
    assert benchmark.classes_order == [0, 1, 2, 3]


def test_noisy_labels_reach_avalanche(data):
    scenario = noisy(split(data), labels=0.5)
    benchmark = scenario.to_avalanche()
    for ours, theirs in zip(scenario, benchmark.train_stream, strict=True):
        assert [theirs.dataset[i][1] for i in range(len(ours))] == ours.train_y.tolist()


def test_transforms_come_before_normalisation(data):
    def invert(image):
        assert image.dtype == torch.uint8
        return 255 - image

    scenario = split(data)
    x = scenario.experiences[0].train_x
    dataset = scenario.to_avalanche(train_transform=invert).train_stream[0].dataset
    assert torch.equal(dataset.train()[3][0], scenario.normalise(255 - x[3]))
    assert torch.equal(dataset.eval()[3][0], scenario.normalise(x[3]))
    plain = scenario.to_avalanche(normalise=False).train_stream[0].dataset
    assert torch.equal(plain[3][0], x[3])
    tested = scenario.to_avalanche(normalise=False, eval_transform=invert).test_stream[0].dataset
    assert torch.equal(tested.eval()[0][0], 255 - scenario.experiences[0].test_x[0])


def test_rows_can_be_sent_to_loader_processes(data):
    dataset = rotated(data, 2).to_avalanche(train_transform=torch.fliplr).train_stream[1].dataset
    copy = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(copy[7][0], dataset[7][0])


@pytest.mark.parametrize("task_labels", [False, True])
def test_naive_trains_and_evaluates(data, task_labels):
    benchmark = split(data).to_avalanche(task_labels)
    if task_labels:
        model = MTSimpleMLP(input_size=72, hidden_size=8)
    else:
        model = SimpleMLP(num_classes=4, input_size=72, hidden_size=8)
    naive = strategy(model)
    for experience in benchmark.train_stream:
        naive.train(experience)
    assert len(naive.eval(benchmark.test_stream)) == 2


@pytest.mark.parametrize("task_labels", [False, True])
def test_an_online_scenario_becomes_an_online_stream(data, task_labels):
    scenario = online(split(data), 20)
    benchmark = scenario.to_avalanche(task_labels)
    assert len(benchmark.train_stream) == len(scenario) == 8
    assert len(benchmark.test_stream) == 2
    for ours, theirs in zip(scenario, benchmark.train_stream, strict=True):
        rows = [theirs.dataset[i] for i in range(len(ours))]
        x = torch.stack([row[0] for row in rows])
        assert torch.equal(x, scenario.normalise(ours.train_x))
        assert [row[1] for row in rows] == ours.train_y.tolist()
        logged = theirs.logging()
        assert logged.is_first_subexp == ours.is_first_part
        assert logged.is_last_subexp == ours.is_last_part
        assert logged.sub_stream_length == 4
        assert theirs.classes_in_this_experience == list(ours.classes_here)
    flags = [e.logging().is_last_subexp for e in benchmark.train_stream]
    assert flags == [False, False, False, True] * 2


@pytest.mark.parametrize("task_labels", [False, True])
def test_naive_trains_online(data, task_labels):
    """Multi-head models too, which fail on the streams of Avalanche's own splitter."""
    benchmark = online(split(data), 20).to_avalanche(task_labels)
    if task_labels:
        model = MTSimpleMLP(input_size=72, hidden_size=8)
    else:
        model = torch.nn.Sequential(torch.nn.Flatten(), IncrementalClassifier(72, 2))
    naive = strategy(model)
    for experience in benchmark.train_stream:
        naive.train(experience)
    assert len(naive.eval(benchmark.test_stream)) == 2
