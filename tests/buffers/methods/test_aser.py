"""ASER's update and retrieval against slow readings of the paper; in Avalanche, end to end."""

import pytest
import torch
from avalanche.benchmarks import benchmark_from_datasets
from avalanche.benchmarks.utils import as_classification_dataset
from avalanche.training.plugins import EvaluationPlugin, ReplayPlugin
from avalanche.training.supervised import Naive
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset

from buffers import ASERBuffer, ReservoirBuffer, RingBuffer
from buffers.retrieval._drawing import balanced_order
from buffers.retrieval.aser import Aser
from clcore import Probe
from clcore.errors import ArgumentError
from clcore.geometry.knn_shapley import knn_shapley
from strategies.continual import OnlineLearner, Replay


def mlp(inputs=64, outputs=10, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, 32), nn.ReLU(), nn.Linear(32, outputs))


def clouds(n, classes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(classes, (n,), generator=generator)
    centres = 4 * torch.randn(classes, 5, generator=torch.Generator().manual_seed(9))
    return centres[y] + torch.randn(n, 5, generator=generator), y


# -- the update ------------------------------------------------------------------------------


def slow_update(x, y, size, batch, k, samples, generator):
    """Row numbers in memory, batch by batch, with the same random numbers."""
    memory = list(range(size))
    for start in range(size, len(y), batch):
        rows = list(range(start, min(start + batch, len(y))))
        labels = y[memory]
        known = len({*labels.tolist(), *y[rows].tolist()})
        order, _ = balanced_order(labels, generator)
        points, taken = [], {}
        for slot in order.tolist():
            label = int(labels[slot])
            if taken.get(label, 0) < samples and len(points) < size // 2:
                points.append(slot)
                taken[label] = taken.get(label, 0) + 1
        others = [slot for slot in range(size) if slot not in points]
        chosen = torch.randperm(len(others), generator=generator)[: samples * known].tolist()
        pool = [others[place] for place in chosen]
        share = float(torch.rand(1, dtype=torch.float64, generator=generator)) / known
        minority = [r for r in rows if (labels == y[r]).sum() / size < share]
        candidates = [memory[slot] for slot in pool] + rows
        evaluation = [memory[slot] for slot in points] + minority
        values = knn_shapley(x[candidates], y[candidates], x[evaluation], y[evaluation], k).sum(0)
        ranked = sorted(range(len(candidates)), key=lambda i: -float(values[i]))
        kept, lost = ranked[: len(pool)], ranked[len(pool) :]
        for new, old in zip(
            [i for i in kept if i >= len(pool)], [i for i in lost if i < len(pool)], strict=True
        ):
            memory[pool[old]] = candidates[new]
    return memory


@pytest.mark.parametrize("offer", [10, 70, 500])
def test_same_as_the_slow_reading(offer):
    x, y = clouds(500)
    buffer = ASERBuffer(40, batch_size=10, k=3, features="input", seed=4)
    buffer.add(x[:40], y[:40])
    for rows in torch.arange(40, 500).split(offer):
        buffer.add(x[rows], y[rows])
    expected = slow_update(x, y, 40, 10, 3, 2, torch.Generator().manual_seed(4))
    assert buffer.store.born.tolist() == expected
    assert torch.equal(buffer.all().x, x[expected])


def test_an_offer_that_overflows_is_filled_first():
    x, y = clouds(300)
    whole, parts = (ASERBuffer(45, features="input", seed=1) for _ in range(2))
    whole.add(x, y)
    parts.add(x[:45], y[:45])
    parts.add(x[45:], y[45:])
    assert torch.equal(whole.store.born, parts.store.born)


def test_chunks_change_nothing(monkeypatch):
    x, y = clouds(300)
    one, other = (ASERBuffer(30, features="input", seed=1) for _ in range(2))
    one.add(x, y)
    monkeypatch.setattr("buffers.aser._CHUNK", 35)
    other.add(x, y)
    assert torch.equal(one.store.born, other.store.born)


def test_a_new_class_comes_in():
    x, y = clouds(600, classes=3)
    buffer = ASERBuffer(60, features="input")
    order = torch.argsort(y, stable=True)
    for rows in order.split(10):
        buffer.add(x[rows], y[rows])
    counts = buffer.class_counts()
    assert set(counts) == {0, 1, 2}
    assert min(counts.values()) >= 6


@pytest.mark.parametrize("size", [1, 2, 5])
def test_tiny_memories_still_turn_over(size):
    x, y = clouds(400)
    buffer = ASERBuffer(size, features="input")
    for rows in torch.arange(400).split(10):
        buffer.add(x[rows], y[rows])
    assert len(buffer) == size
    assert buffer.replaced > 0


def test_features_of_stored_rows_are_those_of_the_model_as_it_is():
    x, y = clouds(60)
    model = mlp(5, 4)
    buffer = ASERBuffer(30, probe=Probe(model), seed=2)
    buffer.add(x[:30], y[:30])
    assert buffer.cost.forward_passes == 0  # nothing is asked while there is room
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(3))
    slots = buffer.add(x[30:40], y[30:40])
    features = Probe(model).features(x)
    other = ASERBuffer(30, seed=2)
    other.add(x[:30], y[:30], features=features[:30])
    assert torch.equal(other.add(x[30:40], y[30:40], features=features[30:40]), slots)
    assert 10 < buffer.cost.forward_passes <= 10 + 2 * 2 * 4
    assert "features" not in buffer.store.extra
    assert torch.equal(other.store.extra["features"], features[other.store.born])


def test_each_row_of_a_large_offer_passes_once():
    x, y = clouds(500)
    buffer = ASERBuffer(30, probe=Probe(mlp(5, 4)))
    buffer.add(x[:30], y[:30])
    buffer.add(x[30:], y[30:])
    assert 470 < buffer.cost.forward_passes <= 500


def test_two_buffers_share_nothing():
    x, y = clouds(300)
    alone, one, two = (ASERBuffer(30, features="input", seed=3) for _ in range(3))
    for rows in torch.arange(300).split(10):
        alone.add(x[rows], y[rows])
    for rows in torch.arange(300).split(10):
        one.add(x[rows], y[rows])
        two.add(x[rows], y[rows] + 7)
    assert torch.equal(alone.store.born, one.store.born)


def test_features_that_turn_bad_leave_the_generator():
    x, y = clouds(60)
    model = mlp(5, 4)
    buffer = ASERBuffer(30, probe=Probe(model))
    buffer.add(x[:30], y[:30])
    before = buffer.state_dict()["tensors"]
    with torch.no_grad():
        model[1].weight.fill_(torch.inf)
    with pytest.raises(ValueError, match="features"):
        buffer.add(x[30:40], y[30:40])
    for name, tensor in before.items():
        assert torch.equal(tensor, buffer.state_dict()["tensors"][name]), name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k must be"),
        ({"samples_per_class": 0.5}, "samples_per_class: got 0.5"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"features": "pixels"}, "features: got 'pixels'"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ArgumentError, match=message):
        ASERBuffer(10, **options)


# -- retrieval ---------------------------------------------------------------------------------


def slow_scores(rule, memory, candidates, points, model, x, y):
    probe = Probe(model)
    held_x, held_y = memory.all().x, memory.store.y
    features = probe.features(held_x)
    near, near_y = features[candidates], held_y[candidates]
    own = knn_shapley(near, near_y, features[points], held_y[points], rule.k)
    other = knn_shapley(near, near_y, probe.features(x), y, rule.k)
    if rule.variant == "mean":
        return own.mean(0) - other.mean(0)
    return own.max(0).values - other.min(0).values


@pytest.mark.parametrize("variant", ["mean", "extreme"])
def test_draws_the_largest_values(variant):
    x, y = clouds(400)
    model, rule = mlp(5, 4), Aser(k=3, samples_per_class=5, variant=variant)
    memory = ReservoirBuffer(80, seed=5)
    memory.add(x, y)
    state = memory.generator.get_state()
    candidates, points = rule._parts(memory, 6)
    assert not set(candidates.tolist()) & set(points.tolist())
    assert len(candidates) == len(points) == 20
    assert memory.store.y[candidates].bincount().tolist() == [5] * 4
    assert memory.store.y[points].bincount().tolist() == [5] * 4
    memory.generator.set_state(state)
    batch_x, batch_y = clouds(10, seed=8)
    scores = slow_scores(rule, memory, candidates, points, model, batch_x, batch_y)
    drawn = memory.sample(6, rule, model=model, x=batch_x, y=batch_y).index
    expected = candidates[scores.argsort(descending=True, stable=True)[:6]]
    assert drawn.tolist() == expected.tolist()
    assert memory.cost.forward_passes == 20 + 20 + 10


def test_rivals_of_the_incoming_class_are_preferred():
    # Class 1 lies where class 9 comes in; class 0 lies far from it.
    y = torch.arange(200) % 2
    x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0)) + 6 * y[:, None]
    memory = ReservoirBuffer(100)
    memory.add(x, y)
    new = torch.randn(10, 4, generator=torch.Generator().manual_seed(1)) + 6
    model = nn.Linear(4, 10)
    rule = Aser(samples_per_class=10)
    drawn = memory.sample(6, rule, model=model, x=new, y=torch.zeros(10, dtype=torch.int64))
    # Near the batch and of another class: class 1's values for a batch of zeros are the least.
    assert drawn.y.tolist() == [1] * 6


@pytest.mark.parametrize("n", [1, 5, 39, 40, 100])
def test_every_number_of_exemplars(n):
    x, y = clouds(400)
    memory = ReservoirBuffer(40)
    memory.add(x, y)
    drawn = memory.sample(n, "aser", model=mlp(5, 4), x=x[:10], y=y[:10])
    assert len(set(drawn.index.tolist())) == len(drawn) == min(n, 40)


def test_uniform_until_the_memory_overflows():
    x, y = clouds(60)
    memory, other = (RingBuffer(60, seed=3) for _ in range(2))
    for one in (memory, other):
        one.add(x, y)
    drawn = memory.sample(7, "aser", model=mlp(5, 4), x=x[:10], y=y[:10])
    assert torch.equal(drawn.index, other.sample(7).index)
    assert memory.cost.forward_passes == 0


def test_the_model_is_left_alone():
    x, y = clouds(200)
    model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 4))
    nn.functional.cross_entropy(model(x), y).backward()
    memory = ReservoirBuffer(50)
    memory.add(x, y)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    gradients = [p.grad.clone() for p in model.parameters()]
    state = torch.get_rng_state()
    memory.sample(5, "aser", model=model, x=x[:10], y=y[:10])
    assert torch.equal(state, torch.get_rng_state())
    assert all(module.training for module in model.modules())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), gradients, strict=True))


@pytest.mark.parametrize("missing", ["model", "x", "y"])
def test_a_context_that_lacks_something(missing):
    x, y = clouds(50)
    memory = ReservoirBuffer(20)
    memory.add(x, y)
    context = {"model": mlp(5, 4), "x": x[:5], "y": y[:5]}
    del context[missing]
    with pytest.raises(ArgumentError, match=f"{missing}: retrieval 'aser' needs it"):
        memory.sample(4, "aser", **context)
    with pytest.raises(ArgumentError, match="model: got a str"):
        memory.sample(4, "aser", model="mlp", x=x, y=y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 1.5}, "k must be"),
        ({"samples_per_class": 0}, "samples_per_class"),
        ({"variant": "median"}, "variant: got 'median'"),
    ],
)
def test_wrong_options_of_the_rule(options, message):
    with pytest.raises(ArgumentError, match=message):
        Aser(**options)


# -- in Avalanche ------------------------------------------------------------------------------


def digits(n=600):
    x, y = load_digits(return_X_y=True)
    return torch.from_numpy(x[:n]).float() / 16, torch.from_numpy(y[:n]).long()


def split_digits(experiences=5):
    x, y = digits()
    parts = []
    for first in range(0, 10, 10 // experiences):
        rows = torch.nonzero((y >= first) & (y < first + 10 // experiences)).view(-1)
        data = TensorDataset(x[rows], y[rows])
        data.targets = y[rows].tolist()
        parts.append(as_classification_dataset(data))
    return benchmark_from_datasets(train=parts, test=parts)


def train(plugin, stream):
    model = mlp()
    strategy = Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=10,
        train_epochs=4,
        plugins=[plugin],
        evaluator=EvaluationPlugin(loggers=[]),
    )
    for experience in stream.train_stream:
        strategy.train(experience)
    x, y = digits()
    return float((model(x).argmax(1) == y).float().mean())


@pytest.mark.filterwarnings("ignore:No loggers specified")
@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("retrieval", ["aser", "uniform"])
def test_replay_with_both_halves(retrieval, fast):
    buffer = ASERBuffer(100)
    plugin = Replay(buffer, retrieval=retrieval, update="iteration", fast=fast)
    assert train(plugin, split_digits()) > 0.5
    assert len(buffer) == 100
    assert set(buffer.class_counts()) == set(range(10))
    assert buffer.cost.forward_passes > 1000


@pytest.mark.filterwarnings("ignore:No loggers specified")
def test_retrieval_from_another_memory():
    buffer = ReservoirBuffer(100)
    plugin = Replay(buffer, retrieval="aser", update="iteration", fast=True)
    assert train(plugin, split_digits()) > 0.5
    assert buffer.cost.forward_passes > 1000


@pytest.mark.filterwarnings("ignore:No loggers specified")
def test_avalanche_replays_from_it():
    buffer = ASERBuffer(100)
    plugin = ReplayPlugin(mem_size=100, storage_policy=buffer, batch_size=10)
    assert train(plugin, split_digits()) > 0.5
    assert len(buffer) == 100


def test_an_online_learner():
    x, y = clouds(600)
    model = mlp(5, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    learner = OnlineLearner(model, optimizer, buffer=ASERBuffer(50), retrieval="aser")
    order = torch.argsort(y, stable=True)
    learner.train_stream([(x[rows], y[rows]) for rows in order.split(10)])
    assert learner.accuracy(x, y) > 0.9
