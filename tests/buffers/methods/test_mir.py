"""MIR and loss retrieval against a step really taken on a copy; the model is left alone."""

import copy

import pytest
import torch
from avalanche.benchmarks import benchmark_from_datasets, tensors_benchmark
from avalanche.benchmarks.utils import as_classification_dataset
from avalanche.models import MTSimpleMLP
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.supervised import Naive
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional
from torch.utils.data import TensorDataset

from buffers import ReservoirBuffer
from buffers.retrieval.loss import Loss
from buffers.retrieval.mir import Mir
from buffers.retrieval.uniform import distinct
from clcore.errors import ArgumentError
from strategies.continual import OnlineLearner, Replay


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 4))


def noisy_network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.4), nn.Linear(16, 4)
    )


def rows(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 6, generator=generator), torch.randint(4, (n,), generator=generator)


def filled(size=60, **options):
    memory = ReservoirBuffer(size, seed=2, **options)
    memory.add(*rows(200))
    return memory


def losses(model, x, y):
    with torch.no_grad():
        return functional.cross_entropy(model(x), y, reduction="none")


def stepped(model, groups, x, y):
    """A copy of the model after a plain step of gradient descent."""
    other = copy.deepcopy(model)
    other.zero_grad()
    functional.cross_entropy(other(x), y).backward()
    rates = {name: rate for names, rate in groups for name in names}
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            parameter -= rates.get(name, 0) * parameter.grad
    return other


@pytest.mark.parametrize("kind", ["one rate", "two rates", "a part only", "momentum"])
def test_same_as_a_step_really_taken(kind):
    model, memory = network(), filled()
    x, y = rows(10, seed=5)
    first, last = list(model[0].parameters()), list(model[2].parameters())
    names = [["0.weight", "0.bias"], ["2.weight", "2.bias"]]
    sgd = torch.optim.SGD
    optimizer, groups = {
        "one rate": (sgd(model.parameters(), lr=0.5), [(names[0] + names[1], 0.5)]),
        "two rates": (
            sgd([{"params": first, "lr": 0.1}, {"params": last, "lr": 0.9}]),
            [(names[0], 0.1), (names[1], 0.9)],
        ),
        "a part only": (sgd(last, lr=0.5), [(names[1], 0.5)]),
        "momentum": (
            sgd(model.parameters(), lr=0.5, momentum=0.9, weight_decay=0.1),
            [(names[0] + names[1], 0.5)],
        ),
    }[kind]
    state = memory.generator.get_state()
    drawn = memory.sample(7, Mir(20), model=model, optimizer=optimizer, x=x, y=y)
    memory.generator.set_state(state)
    candidates = distinct(60, 20, memory.generator)
    held = memory.read(candidates)
    after = losses(stepped(model, groups, x, y), held.x, held.y)
    scores = after - losses(model, held.x, held.y)
    expected = candidates[scores.argsort(descending=True)[:7]]
    assert drawn.index.tolist() == expected.tolist()
    assert memory.cost.forward_passes == 10 + 2 * 20
    assert memory.cost.backward_passes == 10
    assert memory.cost.seconds > 0


@pytest.mark.parametrize("rule", ["mir", "loss"])
@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_alone(rule, training):
    model, memory = noisy_network(), filled()
    x, y = rows(10, seed=5)
    functional.cross_entropy(model(x), y).backward()
    model.train(training)
    model[1].eval()  # a frozen layer stays so
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    parameters = list(model.parameters())
    gradients = [p.grad for p in parameters]
    values = [p.grad.clone() for p in parameters]
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state, modes = torch.get_rng_state(), [m.training for m in model.modules()]
    with torch.no_grad():  # a caller's choice doesn't matter
        memory.sample(7, rule, model=model, optimizer=optimizer, x=x, y=y)
    assert torch.equal(state, torch.get_rng_state())
    assert modes == [m.training for m in model.modules()]
    assert all(p is q for p, q in zip(parameters, model.parameters(), strict=True))
    assert all(p.grad is g for p, g in zip(parameters, gradients, strict=True))
    assert all(torch.equal(g, v) for g, v in zip(gradients, values, strict=True))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not optimizer.state


def test_losses_are_compared_without_dropout():
    memory, x_y = filled(), rows(10, seed=5)
    model = noisy_network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    rule = Mir(60)
    scores = rule._interference(
        memory,
        torch.arange(60),
        {"model": model, "optimizer": optimizer, "x": x_y[0], "y": x_y[1]},
    )
    assert not scores.any()  # a step of length 0 changes no loss


def test_the_losses_largest_now():
    model, memory = network(), filled()
    drawn = memory.sample(7, Loss(60), model=model)
    held = memory.all()
    expected = losses(model, held.x, held.y).topk(7).indices
    assert set(drawn.index.tolist()) == set(expected.tolist())
    assert memory.cost.forward_passes == 60


@pytest.mark.parametrize("rule", ["mir", "loss"])
@pytest.mark.parametrize("n", [1, 50, 59, 60, 90])
def test_every_number_of_exemplars(rule, n):
    model, memory = network(), filled()
    x, y = rows(10, seed=5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    drawn = memory.sample(n, rule, model=model, optimizer=optimizer, x=x, y=y)
    assert len(set(drawn.index.tolist())) == len(drawn) == min(n, 60)
    assert (memory.cost.forward_passes == 0) == (n >= 60)


def test_random_transforms_are_seen_in_evaluation():
    calls, model = [], network()

    def augmented(x):
        calls.append("train")
        return x + torch.rand(())

    memory = filled(transform=augmented)
    memory.eval_transform = lambda x: calls.append("evaluate") or x
    memory.sample(5, "loss", model=model)
    assert calls == ["evaluate", "train"]


def test_random_numbers_of_a_transform_are_given_back():
    model = network()
    memory = filled(transform=lambda x: x + torch.rand(()))
    state = torch.get_rng_state()
    memory.sample(5, "loss", model=model)
    after = torch.get_rng_state()
    torch.set_rng_state(state)
    torch.rand(())  # what reading the five exemplars took; looking at them took nothing
    assert torch.equal(after, torch.get_rng_state())


def test_pixels():
    memory = ReservoirBuffer(40, transform=lambda x: x.float() / 255)
    memory.add(torch.randint(0, 256, (100, 6), dtype=torch.uint8), torch.arange(100) % 4)
    memory.eval_transform = lambda x: x
    assert len(memory.sample(5, "loss", model=network())) == 5


@pytest.mark.filterwarnings("ignore:No loggers specified")
@pytest.mark.parametrize("rule", ["mir", "loss", "aser"])
def test_several_heads(rule):
    torch.manual_seed(0)
    tensors = [(torch.rand(40, 1, 4, 4), torch.arange(40) % 2 + 2 * task) for task in range(3)]
    benchmark = tensors_benchmark(tensors, tensors, task_labels=[0, 1, 2])
    model, buffer = MTSimpleMLP(input_size=16, hidden_size=8), ReservoirBuffer(12)
    strategy = Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        train_mb_size=10,
        plugins=[Replay(buffer, 5, rule, update="iteration")],
        evaluator=None,
    )
    for experience in benchmark.train_stream:
        strategy.train(experience)
    assert set(buffer.task_counts()) == {0, 1, 2}
    assert buffer.cost.forward_passes > 100
    context = {"model": model, "optimizer": strategy.optimizer}
    x, y = tensors[0]
    with pytest.raises(ArgumentError, match="task"):
        buffer.sample(5, rule, x=x, y=y, **context)


@pytest.mark.parametrize(
    ("rule", "missing"),
    [("mir", "model"), ("mir", "optimizer"), ("mir", "x"), ("mir", "y"), ("loss", "model")],
)
def test_a_context_that_lacks_something(rule, missing):
    model, (x, y) = network(), rows(10)
    context = {"model": model, "optimizer": torch.optim.SGD(model.parameters()), "x": x, "y": y}
    del context[missing]
    with pytest.raises(ArgumentError, match=f"{missing}: retrieval {rule!r} needs it"):
        filled().sample(4, rule, **context)


def test_wrong_options():
    with pytest.raises(ArgumentError, match="subsample must be"):
        Mir(0)
    with pytest.raises(ArgumentError, match="subsample must be"):
        Loss(2.5)
    with pytest.raises(ArgumentError, match="loss: got 3"):
        Mir(loss=3)
    optimizer = torch.optim.SGD(network().parameters(), lr=0.1)
    memory, (x, y) = filled(), rows(10)
    state = memory.generator.get_state()
    with pytest.raises(ArgumentError, match="optimizer: it holds none"):
        memory.sample(4, "mir", model=network(), optimizer=optimizer, x=x, y=y)
    assert torch.equal(state, memory.generator.get_state())


def test_a_loss_of_ones_own():
    model, memory, (x, y) = network(), filled(), rows(10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    smooth = nn.CrossEntropyLoss(label_smoothing=0.2)
    for rule in (Mir(loss=smooth), Loss(loss=smooth)):
        drawn = memory.sample(4, rule, model=model, optimizer=optimizer, x=x, y=y)
        assert len(drawn) == 4
    assert smooth.reduction == "mean"


# -- in Avalanche ------------------------------------------------------------------------------


def split_digits():
    x, y = load_digits(return_X_y=True)
    x, y = torch.from_numpy(x[:600]).float() / 16, torch.from_numpy(y[:600]).long()
    parts = []
    for first in range(0, 10, 2):
        chosen = torch.nonzero((y == first) | (y == first + 1)).view(-1)
        data = TensorDataset(x[chosen], y[chosen])
        data.targets = y[chosen].tolist()
        parts.append(as_classification_dataset(data))
    return benchmark_from_datasets(train=parts, test=parts), x, y


@pytest.mark.filterwarnings("ignore:No loggers specified")
@pytest.mark.parametrize("rule", ["mir", "loss"])
@pytest.mark.parametrize("fast", [True, False])
def test_in_a_strategy(rule, fast):
    stream, x, y = split_digits()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    buffer = ReservoirBuffer(100)
    strategy = Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=10,
        train_epochs=4,
        plugins=[Replay(buffer, retrieval=rule, update="iteration", fast=fast)],
        evaluator=EvaluationPlugin(loggers=[]),
    )
    for experience in stream.train_stream:
        strategy.train(experience)
    assert float((model(x).argmax(1) == y).float().mean()) > 0.7
    assert buffer.cost.forward_passes > 10_000


def test_an_online_learner():
    x, _ = rows(900)
    y = (x[:, 0] > 0).long() + 2 * (x[:, 1] > 0).long()
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    learner = OnlineLearner(model, optimizer, buffer=ReservoirBuffer(60), retrieval="mir", passes=3)
    learner.train_stream([(x[part], y[part]) for part in torch.arange(900).split(10)])
    assert learner.accuracy(x, y) > 0.8
