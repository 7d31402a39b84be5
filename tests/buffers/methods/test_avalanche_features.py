"""Rules that need features get them from the strategy that Avalanche hands to `post_adapt`."""

from types import SimpleNamespace

import pytest
import torch
from avalanche.benchmarks import tensors_benchmark
from avalanche.benchmarks.utils import as_classification_dataset
from avalanche.models import MTSimpleMLP
from avalanche.training.plugins import ReplayPlugin
from avalanche.training.supervised import Naive
from torch import nn
from torch.utils.data import TensorDataset

import clcore
from buffers import HerdingBuffer, KMeansBuffer, SelectorBuffer
from clcore import Pool, Probe
from clcore.errors import ArgumentError


def experience(x, y):
    data = TensorDataset(x, y)
    data.targets = y
    return SimpleNamespace(dataset=as_classification_dataset(data))


@pytest.fixture
def agent():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    return SimpleNamespace(model=model, device=torch.device("cpu"))


def test_herding_uses_the_model(agent):
    x, y = torch.randn(80, 6), torch.arange(80) % 2
    buffer = HerdingBuffer(10)
    buffer.post_adapt(agent, experience(x, y))
    rows = torch.nonzero(y == 0).view(-1)
    features = Probe(agent.model).features(x[rows])
    picks = clcore.select("herding", Pool(features=features), 5).indices
    assert set(buffer.store.born[buffer.store.y == 0].tolist()) == set(rows[picks].tolist())
    assert buffer.cost.forward_passes == 80


@pytest.mark.parametrize("again", [1, 2])
def test_exemplars_go_through_the_model_again(agent, again):
    buffer = SelectorBuffer("k-center", 10, reselect="all")
    for label in range(again + 1):
        buffer.post_adapt(agent, experience(torch.randn(40, 6), torch.full((40,), label)))
    # The second experience takes slots from the first class, the third from both others.
    assert buffer.cost.forward_passes == 40 * (again + 1) + 10 * again
    assert len(buffer) == len(buffer.buffer) == 10


def test_k_means_uses_the_model(agent):
    x, y = torch.randn(80, 6), torch.arange(80) % 2
    buffer = KMeansBuffer(10)
    for rows in torch.arange(80).split(10):
        buffer.post_adapt(agent, experience(x[rows], y[rows]))
    features = Probe(agent.model).features(x)
    given = KMeansBuffer(10)
    given.add(x, y, features=features)
    assert torch.equal(buffer.store.born, given.store.born)
    torch.testing.assert_close(buffer.all().columns["features"], features[buffer.store.born])


def test_without_a_model_the_error_says_what_to_give():
    with pytest.raises(ArgumentError, match="features: HerdingBuffer chooses by this signal"):
        HerdingBuffer(10).post_adapt(None, experience(torch.randn(8, 6), torch.arange(8) % 2))


@pytest.mark.filterwarnings("ignore:No loggers specified:UserWarning")
@pytest.mark.parametrize("method", [HerdingBuffer, KMeansBuffer])
def test_multi_head_models_get_the_task_of_each_row(method):
    torch.manual_seed(0)
    tensors = [(torch.rand(40, 1, 4, 4), torch.arange(40) % 2 + 2 * task) for task in range(3)]
    benchmark = tensors_benchmark(tensors, tensors, task_labels=[0, 1, 2])
    model = MTSimpleMLP(input_size=16, hidden_size=8)
    buffer = method(12)
    strategy = Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        train_mb_size=20,
        plugins=[ReplayPlugin(mem_size=12, storage_policy=buffer)],
        evaluator=None,
    )
    for experience in benchmark.train_stream:
        strategy.train(experience)
    assert buffer.task_counts() == {0: 4, 1: 4, 2: 4}
    assert buffer.cost.forward_passes == 120
