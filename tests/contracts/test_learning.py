"""What every buffer and retrieval rule keeps while a model learns.

A choice may look at the learner, but leaves no trace on it; and every memory works in unmodified
Avalanche with nothing but its budget. New buffers and rules are picked up by themselves.
"""

import copy
import random
import warnings

import numpy as np
import pytest
import torch
from avalanche.benchmarks import benchmark_from_datasets, tensors_benchmark
from avalanche.benchmarks.utils import as_classification_dataset
from avalanche.benchmarks.utils.transform_groups import DefaultTransformGroups
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin, ReplayPlugin
from learning_cases import CASES, CHEAP, CLASSES, images, shown
from torch import nn
from torch.utils.data import TensorDataset
from torchvision import transforms

import buffers
from buffers.retrieval import RETRIEVALS
from strategies.continual.replay import Replay

# What cannot be left out of a memory of defaults.
NEEDED = {"SelectorBuffer": {"selector": "herding"}}


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
