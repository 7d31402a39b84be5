"""GSS in Avalanche: training, resuming, and what Avalanche's own plugin does otherwise."""

import warnings

import pytest
import torch
from avalanche.benchmarks import benchmark_from_datasets
from avalanche.benchmarks.utils import (
    _make_taskaware_classification_dataset,
    as_classification_dataset,
)
from avalanche.training.plugins import EvaluationPlugin, GSS_greedyPlugin, ReplayPlugin
from avalanche.training.supervised import Naive
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset

from buffers import GSSBuffer
from clcore import Probe
from strategies import Replay


def network(seed=0, inputs=6, outputs=4):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(inputs, 7), nn.ReLU(), nn.Linear(7, outputs))


def stream(n, seed=0, classes=4):
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(n, 6, generator=generator),
        torch.randint(0, classes, (n,), generator=generator),
    )


def digits(tasks=False):
    data = load_digits()
    x = torch.tensor(data.images, dtype=torch.float32)[:, None] / 16
    y = torch.tensor(data.target)
    parts = []
    for first in range(0, 10, 2):
        rows = torch.nonzero((y == first) | (y == first + 1)).view(-1)[:200]
        tensors = TensorDataset(x[rows], y[rows])
        tensors.targets = y[rows].tolist()
        parts.append(
            _make_taskaware_classification_dataset(tensors, task_labels=0)
            if tasks
            else as_classification_dataset(tensors)
        )
    return benchmark_from_datasets(train=parts, test=parts)


def naive(plugin, seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "No loggers specified"
        evaluator = EvaluationPlugin()
    return Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.2),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=10,
        train_epochs=3,
        plugins=[plugin],
        evaluator=evaluator,
    )


def accuracy(model, benchmark):
    model.eval()
    right = []
    for experience in benchmark.test_stream:
        rows = [experience.dataset[i] for i in range(len(experience.dataset))]
        x, y = torch.stack([r[0] for r in rows]), torch.tensor([int(r[1]) for r in rows])
        right.append((model(x).argmax(1) == y).float())
    return float(torch.cat(right).mean())


@pytest.mark.parametrize("variant", ["greedy", "iqp", "cluster"])
@pytest.mark.parametrize("way", ["replay", "plugin"])
def test_digits_in_avalanche(variant, way):
    benchmark, buffer = digits(), GSSBuffer(100, variant=variant, recent=40)
    plugin = (
        Replay(buffer, update="iteration", fast=True)
        if way == "replay"
        else ReplayPlugin(mem_size=100, storage_policy=buffer)
    )
    strategy = naive(plugin)
    for experience in benchmark.train_stream:
        strategy.train(experience)
        held = buffer.store.born.tolist()
        assert len(set(held)) == len(held) == len(buffer)
    assert len(buffer) == 100
    assert buffer.seen == 1000
    assert len(buffer.class_counts()) >= 8
    assert accuracy(strategy.model, benchmark) > 0.5
    assert len(buffer.buffer) == 100


def test_avalanches_plugin_leaves_gradients_and_stores_rows_twice_and_ours_does_not():
    benchmark = digits(tasks=True)
    strays = []

    class Watching(Naive):
        def backward(self):
            norms = [p.grad.abs().sum() for p in self.model.parameters() if p.grad is not None]
            strays.append(float(sum(norms)))
            super().backward()

    def run(plugin):
        strays.clear()
        strategy = naive(plugin)
        strategy.__class__ = Watching
        for experience in list(benchmark.train_stream)[:3]:
            strategy.train(experience)

    theirs = GSS_greedyPlugin(mem_size=60, mem_strength=5, input_size=[1, 8, 8])
    run(theirs)
    assert sum(norm > 0 for norm in strays) > len(strays) / 2
    assert len(theirs.ext_mem_list_x.flatten(1).unique(dim=0)) < 60

    buffer = GSSBuffer(60, memory_batches=5)
    run(Replay(buffer, update="iteration", fast=True))
    assert strays
    assert all(norm == 0 for norm in strays)
    assert len(buffer.store.x.flatten(1).unique(dim=0)) == 60


def test_resume_with_a_model(tmp_path):
    for variant in ("greedy", "iqp", "cluster"):
        probe = Probe(network())
        one = GSSBuffer(20, variant=variant, recent=12, probe=probe, threshold=0.4)
        for step in range(6):
            one.add(*stream(10, step))
        one.save(tmp_path / "memory.safetensors")
        other = GSSBuffer(20, variant=variant, recent=12, probe=probe, threshold=0.4)
        other.load(tmp_path / "memory.safetensors")
        for step in range(6, 12):
            for buffer in (one, other):
                buffer.add(*stream(10, step))
        assert torch.equal(one.store.x, other.store.x)
        assert torch.equal(one.store.born, other.store.born)
        assert one.replaced == other.replaced > 0
