"""What every buffer and retrieval rule keeps while a model learns.

A choice may look at the learner, but leaves no trace on it; and every memory works in unmodified
Avalanche with nothing but its budget. New buffers and rules are picked up by themselves.
"""

import copy
import inspect
import random
import re
import warnings

import numpy as np
import pytest
import torch
from avalanche.benchmarks import benchmark_from_datasets, tensors_benchmark
from avalanche.benchmarks.utils import as_classification_dataset
from avalanche.benchmarks.utils.transform_groups import DefaultTransformGroups
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin, ReplayPlugin
from torch import nn
from torch.utils.data import TensorDataset
from torchvision import transforms

import buffers
from buffers.retrieval import RETRIEVALS
from clcore.errors import ArgumentError, SignalError
from clcore.selectors.bcsr import BCSR
from clcore.selectors.csrel import CSReL
from clcore.selectors.greedy_coreset import GreedyCoreset
from clcore.selectors.pbcs import PBCS
from strategies.continual.replay import Replay

CLASSES = {
    name: value
    for name in buffers.__all__
    if inspect.isclass(value := getattr(buffers, name))
    and issubclass(value, buffers.Buffer)
    and not inspect.isabstract(value)
}
QUICK_PBCS = {"rounds": 2, "inner_steps": 2}
# Options under which a buffer asks the learner, one for each way of asking.
ASKING = {
    "AutoBuffer": [{"smallest_choice": 10}],
    "BCSRBuffer": [{}, {"proxy": "last_layer"}],
    "CSReLBuffer": [{"rounds": 4}, {"rounds": 4, "features": "model"}],
    "GCRBuffer": [{}, {"preset": "reference", "correct_only": False}],
    "GSSBuffer": [
        {},
        {"signal": "last_layer", "preset": "reference", "threshold": 1.0},
        {"signal": "projection", "threshold": 1.0},
        {"variant": "iqp", "recent": 20},
        {"variant": "cluster", "recent": 20},
    ],
    "GreedyCoresetBuffer": [{"features": None}, {"features": None, "streaming": True, "slots": 2}],
    "LossAwareReservoirBuffer": [{"refresh": "all"}, {"balanced": True}],
    "OCSBuffer": [
        {"picks": 4, "batch_size": 16},
        {"picks": 4, "batch_size": 16, "signal": "last_layer", "preset": "reference"},
        {"picks": 4, "batch_size": 16, "signal": "projection"},
    ],
    "PBCSBuffer": [{**QUICK_PBCS}, {**QUICK_PBCS, "proxy": "whole_network"}],
    "RainbowBuffer": [{}, {"perturbation": "dropout"}, {"perturbation": "weight-noise"}],
    "SelectorBuffer": [{"selector": "k-center"}, {"selector": "gradmatch", "quota": "task"}],
}
CASES = [(name, options) for name in CLASSES for options in ASKING.get(name, [{}])]
# What can't be left out, and what makes a choice quick.
NEEDED = {"SelectorBuffer": {"selector": "herding"}}
CHEAP = {
    "PBCSBuffer": QUICK_PBCS,
    "CSReLBuffer": {"rounds": 4},
    "GreedyCoresetBuffer": {"selector": GreedyCoreset(refits=0)},
}


def shown(case):
    name, options = case
    return "-".join([name, *(f"{k}={v}" for k, v in options.items())])


def images(n, classes, seed=0):
    """uint8 images [n, 1, 4, 4] whose brightness tells their class."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % classes
    noise = torch.randint(0, 60, (n, 1, 4, 4), generator=generator)
    return (noise + (y * 190 // (classes - 1)).view(-1, 1, 1, 1)).to(torch.uint8), y


def dataset(x, y):
    """With augmentation in training, which draws from the global generators."""
    tensors = TensorDataset(x, y)
    tensors.targets = y.tolist()
    to_float = transforms.ConvertImageDtype(torch.float32)
    train = transforms.Compose([transforms.RandomCrop(4, padding=1), to_float])
    groups = DefaultTransformGroups((train, None))
    groups["eval"] = to_float
    return as_classification_dataset(tensors, transform_groups=groups)


def new_stream(n=40, experiences=2):
    """Class-incremental, two classes an experience, no task labels."""
    x, y = images(n * experiences, 2 * experiences)
    parts = [dataset(x[rows], y[rows]) for rows in (y // 2 == e for e in range(experiences))]
    return benchmark_from_datasets(train=parts, test=parts)


def classic_stream(n=40, experiences=2):
    """The older interface: floats, with task labels; each task has both classes."""
    train = [((x := images(n, 2, seed))[0].float() / 255, x[1]) for seed in range(experiences)]
    return tensors_benchmark(
        train_tensors=train, test_tensors=train, task_labels=list(range(experiences))
    )


STREAMS = {"new": new_stream, "classic": classic_stream}


def network():
    """With BatchNorm and dropout, so that there is something to disturb."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(64, 6),
    )


def naive(plugins=(), epochs=1):
    model = network()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "No loggers specified"
        evaluator = EvaluationPlugin()
    return Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=10,
        eval_mb_size=20,
        train_epochs=epochs,
        plugins=list(plugins),
        evaluator=evaluator,
    )


def in_the_middle_of_a_step():
    """A strategy whose model is in training, with gradients, momentum and statistics."""
    strategy = naive()
    model = strategy.model.train()
    x, y = images(20, 4, seed=9)
    for _ in range(2):
        nn.functional.cross_entropy(model(x.float() / 255), y).backward()
        strategy.optimizer.step()
    model[4].eval()  # a mode that a plain `train()` would not restore
    model[0].bias.requires_grad_(False)
    np.random.seed(3)  # noqa: NPY002 - the legacy generator is the global one
    random.seed(3)
    return strategy


def trace_of(strategy):
    """All that a choice must find and leave as it is."""
    model = strategy.model
    return {
        "gradients": [(n, p.grad, p.grad.clone()) for n, p in model.named_parameters()],
        "parameters": [(n, p, p.detach().clone()) for n, p in model.named_parameters()],
        "statistics": [(n, b, b.clone()) for n, b in model.named_buffers()],
        "modes": [(n, m.training) for n, m in model.named_modules()],
        "learned": [(n, p.requires_grad) for n, p in model.named_parameters()],
        "hooks": [len(m._forward_hooks) + len(m._backward_hooks) for m in model.modules()],
        "optimizer": copy.deepcopy(strategy.optimizer.state_dict()),
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state()[1].copy(),  # noqa: NPY002
        "random": random.getstate(),
        "grad mode": torch.is_grad_enabled(),
    }


def assert_untouched(strategy, before):
    now = trace_of(strategy)
    for part in ("gradients", "parameters", "statistics"):
        for (name, held, values), (_, is_now, values_now) in zip(
            before[part], now[part], strict=True
        ):
            assert is_now is held, f"{part}: {name} is another tensor"
            assert torch.equal(values, values_now), f"{part}: {name} has changed"
    for part in ("modes", "learned", "hooks", "random", "grad mode"):
        assert before[part] == now[part], part
    assert torch.equal(before["torch"], now["torch"]), "torch's generator"
    assert (before["numpy"] == now["numpy"]).all(), "numpy's generator"
    states = [part["optimizer"]["state"] for part in (before, now)]
    assert states[0].keys() == states[1].keys()
    for key, state in states[0].items():
        assert torch.equal(state["momentum_buffer"], states[1][key]["momentum_buffer"])
    assert before["optimizer"]["param_groups"] == now["optimizer"]["param_groups"]


@pytest.mark.parametrize("case", CASES, ids=shown)
def test_a_choice_leaves_no_trace_on_the_learner(case):
    name, options = case
    strategy, buffer = in_the_middle_of_a_step(), CLASSES[name](**options, max_size=16)
    before = trace_of(strategy)
    for experience in new_stream().train_stream:
        buffer.post_adapt(strategy, experience)
        assert_untouched(strategy, before)
    assert len(buffer) == 16


@pytest.mark.parametrize(
    "case",
    [c for c in CASES if not issubclass(CLASSES[c[0]], buffers.ConsolidatingBuffer)],
    ids=shown,
)
def test_mini_batches_leave_no_trace_on_the_learner(case):
    name, options = case
    strategy, buffer = in_the_middle_of_a_step(), CLASSES[name](**options, max_size=16)
    before = trace_of(strategy)
    x, y = images(60, 4)
    for rows in torch.arange(60).split(7):
        buffer.add(x[rows].float() / 255, y[rows], learner=strategy)
        assert_untouched(strategy, before)
    assert len(buffer) == 16


@pytest.mark.parametrize("rule", RETRIEVALS.names())
def test_a_draw_leaves_no_trace_on_the_learner(rule):
    strategy, buffer = in_the_middle_of_a_step(), buffers.ReservoirBuffer(20)
    x, y = images(40, 4)
    buffer.add(x.float() / 255, y)
    before = trace_of(strategy)
    x, y = images(5, 4, seed=1)
    for _ in range(2):
        drawn = buffer.sample(
            6,
            rule,
            model=strategy.model,
            optimizer=strategy.optimizer,
            x=x.float() / 255,
            y=y,
        )
        assert_untouched(strategy, before)
        assert len(drawn.index.unique()) == 6


# -- in unmodified Avalanche -------------------------------------------------------------------


def trained(buffer, plugin, stream):
    strategy = naive([plugin])
    for experience in stream.train_stream:
        strategy.train(experience)
    strategy.eval(stream.test_stream)
    assert len(buffer) == 30
    assert buffer.seen == 80
    view = buffer.buffer
    assert len(view) == 30
    labels = {int(view[row][1]) for row in range(len(view))}
    assert labels == set(buffer.class_counts())
    return strategy


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("name", CLASSES)
def test_a_memory_of_defaults_works_in_avalanche_s_replay(name, stream):
    options = NEEDED.get(name, {}) | (CHEAP.get(name, {}) if stream == "classic" else {})
    buffer = CLASSES[name](max_size=30, **options)
    trained(buffer, ReplayPlugin(30, storage_policy=buffer), STREAMS[stream]())


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("name", CLASSES)
def test_a_memory_works_in_our_fast_replay(name, stream):
    buffer = CLASSES[name](max_size=30, **NEEDED.get(name, {}), **CHEAP.get(name, {}))
    plugin = Replay(buffer, fast=True)
    strategy = trained(buffer, plugin, STREAMS[stream]())
    assert strategy.replayed is None  # nothing is left behind
    if stream == "classic":  # 40 rows a task, two classes in turn
        assert torch.equal(buffer.store.task, buffer.store.born // 40)
        assert torch.equal(buffer.store.y, buffer.store.born % 2)


# -- what goes wrong ---------------------------------------------------------------------------


def reads(case):
    """What a choice asks of the model; None for nothing."""
    name, options = case
    if name in ("GSSBuffer", "OCSBuffer"):
        whole = options.get("signal", "whole_network") == "whole_network"
        return "gradients" if whole else "last layer"
    if name == "GCRBuffer" or options.get("selector") == "gradmatch":
        return "logits"
    if name in ("LossAwareReservoirBuffer", "RainbowBuffer"):
        return "losses" if name.startswith("Loss") else "views"
    asks = ("ASERBuffer", "AutoBuffer", "HerdingBuffer", "KMeansBuffer", "SelectorBuffer")
    proxy = {"PBCSBuffer": "last_layer", "BCSRBuffer": "whole_network"}.get(name)
    model = options.get("features", "input") in (None, "model")
    asks = name in asks or model or options.get("proxy", proxy) == "last_layer"
    return "features" if asks else None


def mlp(outputs=6, norm=False):
    torch.manual_seed(0)
    layers = [nn.Flatten(), nn.Linear(16, 8), *([nn.BatchNorm1d(8)] if norm else []), nn.ReLU()]
    return nn.Sequential(*layers, nn.Dropout(0.2), nn.Linear(8, outputs))


def without_linear():
    layers = (nn.Conv2d(1, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Dropout(0.2), nn.Flatten())
    return nn.Sequential(*layers)


def dead():
    """Every unit of the hidden layer is at 0 and stays there."""
    model = mlp()
    for parameter in model[1].parameters():
        nn.init.constant_(parameter, -1.0)
    return model


class Altered(nn.Module):
    """A network whose output is made something else of."""

    def __init__(self, change):
        super().__init__()
        self.network, self.change = mlp(), change

    def forward(self, x):
        return self.change(self.network(x))


def filled_with_nan():
    model = mlp()
    nn.init.constant_(model[1].weight, torch.nan)
    return model


def no_reduction(output, y):
    return nn.functional.cross_entropy(output, y)


X, Y = images(40, 4)
X = X.float() / 255
ALL = {"features", "gradients", "last layer", "logits", "losses", "views"}
# The model, rows and labels, the loss, and whose choices are refused, with what message.
TROUBLE = {
    "no final Linear": (
        *(without_linear, X, Y, None),
        {"features", "last layer", "logits"},
        "the model has no Linear",
    ),
    "a loss without reduction": (
        *(mlp, X, Y, no_reduction),
        {"gradients", "last layer"},
        "no_reduction has no `reduction`",
    ),
    "NaN in the output": (
        *(lambda: Altered(lambda out: out * torch.nan), X, Y, None),
        ALL - {"features"},
        "holds NaN, first in row 0",
    ),
    "NaN in the weights": (filled_with_nan, X, Y, None, ALL, "holds NaN, first in row 0"),
    "labels beyond the outputs": (
        *(lambda: mlp(3), X, Y, None),
        ALL - {"features", "views"},
        "(labels must be from 0 to 2, as there are|got label 3, but the logits have) 3 outputs",
    ),
    "more classes than slots": (lambda: mlp(20), X, torch.arange(40) % 20, None, set(), ""),
    "one row at a time": (lambda: mlp(norm=True), X[:24], Y[:24], None, set(), ""),
    "dead units": (dead, X, Y, None, set(), ""),
    "an output without parameters": (lambda: Altered(torch.zeros_like), X, Y, None, set(), ""),
    "all rows equal": (mlp, torch.full_like(X, 0.3), Y, None, set(), ""),
    "a single class": (mlp, X, torch.zeros_like(Y), None, set(), ""),
}


class Learner:
    """The least that a buffer knows a learner by."""

    device = "cpu"

    def __init__(self, model, criterion=None):
        self.model, self._criterion = model, criterion or nn.CrossEntropyLoss()


@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.parametrize("case", CASES, ids=shown)
def test_trouble_is_refused_clearly_or_borne(case, trouble):
    model, x, y, loss, refused, message = TROUBLE[trouble]
    name, options = case
    learner = Learner(model(), loss)
    size = 1 if trouble.startswith("one row") else 20
    if size > 1 and not issubclass(CLASSES[name], buffers.ConsolidatingBuffer):
        size = 8
    buffer = CLASSES[name](**options, max_size=5 if "slots" in trouble else 16)
    expected = reads(case) in refused
    for rows in torch.arange(len(y)).split(size):
        before, said = buffer.state_dict()["tensors"], None
        try:
            buffer.add(x[rows], y[rows], learner=learner)
        except (ArgumentError, SignalError) as error:
            said = str(error)
        if said is not None:
            assert expected, said
            assert re.search(message, said)
            after = buffer.state_dict()["tensors"]
            assert before.keys() == after.keys()
            assert all(torch.equal(before[key], after[key]) for key in before)
            return
    assert not expected, "nothing was said"
    assert len(buffer) == buffer.capacity
    weight = buffer.store.weight[: len(buffer)]
    assert bool(torch.isfinite(weight).all())
    assert float(weight.sum()) > 0


# What each rule refuses; the others draw all the same.
REFUSED_DRAWS = {
    "no final Linear": {"aser"},
    "NaN in the output": {"loss", "mir"},
    "NaN in the weights": {"aser", "loss", "mir"},
    "labels beyond the outputs": {"loss", "mir"},
}


@pytest.mark.parametrize("trouble", sorted(TROUBLE.keys() - {"a loss without reduction"}))
@pytest.mark.parametrize("rule", RETRIEVALS.names())
def test_trouble_with_a_draw_is_refused_clearly_or_borne(rule, trouble):
    model, x, y, *_, message = TROUBLE[trouble]
    model = model().train()
    buffer = buffers.ReservoirBuffer(20)
    buffer.add(x, y)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    count = 1 if trouble.startswith("one row") else 5
    unseen = torch.full((count,), int(y.max()) if "beyond" in trouble else 5)
    context = {"model": model, "optimizer": optimizer, "x": x[:count], "y": unseen}
    before = buffer.generator.get_state()
    if rule in REFUSED_DRAWS.get(trouble, set()):
        with pytest.raises((ArgumentError, SignalError), match=message):
            buffer.sample(6, rule, **context)
        assert torch.equal(before, buffer.generator.get_state())
    else:
        assert len(buffer.sample(6, rule, **context).index.unique()) == 6


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        (GreedyCoreset(inner_steps=1, regularisation=1e-7), "left with a relative residual of"),
        (BCSR(learning_rate=1e30), "the proxy diverged in round 1 of 5 .outer loss"),
        (BCSR(hypergradient="conjugate-gradient", terms=1), "with a relative residual of"),
        (PBCS(**QUICK_PBCS, hidden=8, inner_rate=1e30), "models diverged and were left out"),
        (CSReL(rounds=1, decay=1e-9), "has not converged in 2000 steps: residual"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_what_does_not_converge_is_said_and_fills_the_memory(selector, message):
    held = []
    for _ in range(2):
        buffer = buffers.SelectorBuffer(selector, 8, quota="task", features="input")
        with pytest.warns(UserWarning, match=message):
            buffer.add(3 * X, Y)
        held.append(buffer.store.born.tolist())
    assert len(set(held[0])) == 8
    assert held[0] == held[1]


@pytest.mark.parametrize("name", ["BCSRBuffer", "CSReLBuffer", "GreedyCoresetBuffer", "PBCSBuffer"])
def test_a_task_that_was_kept_as_a_whole_chooses_when_it_must_give_some_up(name):
    options = {"proxy": "whole_network"} if name == "PBCSBuffer" else {}
    if name == "CSReLBuffer":
        options["quota"] = "task"
    buffer = CLASSES[name](max_size=24, **options, **CHEAP.get(name, {}))
    x, y = X[:20], (torch.arange(20) < 10).long()
    buffer.add(x, y, 0)
    assert len(buffer) == 20
    buffer.add(X[20:], Y[20:] + 2, 1)
    first = sorted(buffer.store.born[buffer.store.task == 0].tolist())
    assert len(first) == 12
    assert first != list(range(12)), "the order of arrival is no choice"
    # It has chosen now, and keeps a part of that the next time.
    buffer.add(X[20:], Y[20:] + 6, 2)
    assert set(buffer.store.born[buffer.store.task == 0].tolist()) < set(first)


def test_weight_goes_over_to_first_picks_that_have_none():
    buffer = buffers.GCRBuffer(6)
    buffer.add(X, Y * 0, features=X.flatten(1), logit_gradients=torch.randn(40, 3))
    by_rank = buffer.store.extra["rank"][:6].argsort()
    buffer.store.weight[by_rank] = torch.tensor([0.0, 0, 0, 10, 20, 10])
    buffer.resize(None, 2)
    assert buffer.store.weight[:2].tolist() == [20, 20]
